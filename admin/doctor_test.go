package admin_test

import (
	"testing"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/checkup"
	"lexigram.dev/events/deadletter"
)

func TestAStoreAndWhatLivesOnItAreExamined(t *testing.T) {
	s := newStore(t)
	put(t, s, "order-1", happened("order.placed", `{}`))
	letters := deadletter.New(s, deadletter.Options{})
	if err := letters.ParkNow(t.Context(), deadletter.Letter{Source: "eventbus/billing", Message: &deadletter.Message{ID: "1", Topic: "orders"}, Error: "boom"}); err != nil {
		t.Fatal(err)
	}
	findings := admin.New(s).Diagnose(t.Context(), admin.DoctorOptions{})
	for check, want := range map[string]checkup.Level{
		"reachable": checkup.OK, "durability": checkup.Warn, "migrations": checkup.OK, "subscriptions": checkup.OK, "sagas": checkup.OK, "dead letters": checkup.Warn,
	} {
		if f, ok := checkup.Find(findings, check); !ok || f.Level != want || f.Part == "" {
			t.Errorf("%s: %+v, want %s", check, f, want)
		}
	}
	v, err := admin.New(s).Vitals(t.Context())
	if err != nil || v.Head != 1 || v.DeadLetters["eventbus/billing"] != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestWhatIsClosedIsNotReachable(t *testing.T) {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	if findings := admin.DiagnoseBroker(t.Context(), b); checkup.Worst(findings) != checkup.Warn {
		t.Errorf("found %+v", findings)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, findings := range [][]checkup.Finding{admin.New(s).Diagnose(t.Context(), admin.DoctorOptions{}), admin.DiagnoseBroker(t.Context(), b)} {
		if len(findings) != 1 || findings[0].Level != checkup.Fail || findings[0].Check != "reachable" {
			t.Errorf("found %+v", findings)
		}
	}
}
