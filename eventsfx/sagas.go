package eventsfx

import (
	"errors"

	"go.uber.org/fx"

	"lexigram.dev/events/config"
	"lexigram.dev/events/saga"
)

// sagas holds the set of all sagas; nil where there are none.
type sagas struct{ set *saga.Set }

type sagasIn struct {
	fx.In
	App         *config.App
	Definitions []saga.Definer `group:"events.sagas"`
}

func newSagas(in sagasIn) (sagas, error) {
	if len(in.Definitions) == 0 {
		return sagas{}, nil
	}
	set, err := in.App.AddSagas(in.Definitions...)
	return sagas{set}, err
}

// sagaSet gives the set to who starts and steers sagas.
func sagaSet(s sagas) (*saga.Set, error) {
	if s.set == nil {
		return nil, errors.New("no feature brings a saga: use eventsfx.Sagas")
	}
	return s.set, nil
}
