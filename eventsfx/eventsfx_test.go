package eventsfx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"lexigram.dev/events"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/eventsfx"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

type balance struct{ Cents int }

func newBalances(a *config.App) (*projection.Projection, *projection.Documents[balance]) {
	p := projection.New(a.Store(), a.Schema(), "balances", a.ProjectionOptions())
	balances := projection.NewDocuments(p, "balances", projection.DocumentOptions[balance]{})
	projection.PerEntity(balances, func(b *balance, e Deposited, _ event.Recorded) error {
		b.Cents += e.Cents
		return nil
	})
	return p, balances
}

// saver is a saga that deposits, by a command.
func newSaver(bus *command.Bus) (*saga.Definition[Deposit], error) {
	return saga.Define("saver", 1, saga.Step[Deposit]{Name: "deposit", Action: saga.Send(bus, func(d Deposit) any { return d })})
}

// bank is the feature, with one part of each kind.
func bank(seen chan<- event.Recorded, told chan<- int) fx.Option {
	return fx.Module("bank",
		fx.Provide(newAccounts),
		eventsfx.Handlers(
			newDeposit,
			func() []eventsfx.Handler {
				return []eventsfx.Handler{
					eventsfx.Type[Deposited]("account.deposited", schema.Options{}),
					eventsfx.Event("teller", func(_ context.Context, e Deposited, _ eventbus.Message) error {
						told <- e.Cents
						return nil
					}, eventbus.HandlerOptions{}),
				}
			},
		),
		eventsfx.Projections(newBalances),
		eventsfx.Sagas(newSaver),
		eventsfx.Runners(func(s *store.Store) (*subscription.Subscription, error) {
			return subscription.New(s, "watcher", subscription.Handler(func(_ context.Context, e event.Recorded) error {
				if e.Type == "account.deposited" {
					seen <- e
				}
				return nil
			}), subscription.Options{})
		}),
	)
}

func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	return got
}

func TestAFeatureBringsHandlersProjectionsSagasAndRunners(t *testing.T) {
	seen, told := make(chan event.Recorded, 1), make(chan int, 1)
	var (
		sagas    *saga.Set
		balances *projection.Documents[balance]
		bus      *eventbus.Bus
	)
	app := fxtest.New(t, fx.NopLogger, eventsfx.Stub(), bank(seen, told), fx.Populate(&sagas, &balances, &bus))
	app.RequireStart()
	if err := sagas.Start(t.Context(), "saver", "1", Deposit{"ada", 700}, saga.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := receive(t, seen); e.Stream != "account-ada" {
		t.Errorf("the subscription was handed %s", e.Stream)
	}
	if cents := receive(t, told); cents != 700 { // the outbox has published it
		t.Errorf("the event bus brought %d", cents)
	}
	app.RequireStop()
	if _, err := balances.Get(t.Context(), "ada"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after the stop the store gives %v", err)
	}
}

func TestWhoAsksForSagasWhereThereAreNoneIsTold(t *testing.T) {
	var sagas *saga.Set
	if err := fx.New(fx.NopLogger, eventsfx.Stub(), fx.Populate(&sagas)).Err(); err == nil {
		t.Error("a set of no sagas was given")
	}
}

func TestWhatCannotBeRegisteredStopsTheProgramBeforeItStarts(t *testing.T) {
	twice := func() eventsfx.Handler {
		return eventsfx.Command(func(context.Context, Deposit) (command.None, error) { return command.None{}, nil })
	}
	err := fx.New(fx.NopLogger, eventsfx.Stub(), eventsfx.Handlers(twice, twice)).Err()
	if !errors.Is(err, command.ErrDuplicateHandler) {
		t.Errorf("two handlers of a command gave %v", err)
	}
	if err := fx.New(fx.NopLogger, eventsfx.Module(config.Default(), config.Default())).Err(); err == nil {
		t.Error("two configurations were taken")
	}
}

// part is a runner that ends as it is told.
type part struct {
	run func(ctx context.Context) error
}

func (p part) Name() string                  { return "part" }
func (p part) Run(ctx context.Context) error { return p.run(ctx) }
func (p part) Health(context.Context) error  { return nil }

func TestAPartThatFailsShutsTheProgramDown(t *testing.T) {
	app := fx.New(fx.NopLogger, eventsfx.Stub(), eventsfx.Runners(func() events.Runner {
		return part{func(context.Context) error { return errors.New("it broke") }}
	}))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, app.Wait()); s.ExitCode != 1 {
		t.Errorf("the exit code is %d", s.ExitCode)
	}
	if err := app.Stop(t.Context()); err == nil {
		t.Error("the stop does not say what has failed")
	}
}

func TestTheStopWaitsForWhatIsBeingDoneAsLongAsFxDoes(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	slow := part{func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		<-finish
		return nil
	}}
	app := fx.New(fx.NopLogger, eventsfx.Stub(), eventsfx.Runners(func() events.Runner { return slow }))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-begun
	patience, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	go func() {
		<-patience.Done()
		close(finish) // else the store could not be closed, which waits for the engine
	}()
	if err := app.Stop(patience); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the stop gave %v", err)
	}
}
