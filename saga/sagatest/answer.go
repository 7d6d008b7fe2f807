package sagatest

import "lexigram.dev/events/saga"

// answer is how an attempt ends.
type answer struct {
	end    func(a *saga.Attempt) error
	silent bool // nothing is heard of it
}

// CompensationOf names the compensation of a step, where a step is asked for.
func CompensationOf(step string) string { return "compensation of " + step }

func nameOf(a *saga.Attempt) string {
	if a.Kind == "compensation" {
		return CompensationOf(a.Step)
	}
	return a.Step
}

func callIt() answer { return answer{end: (*saga.Attempt).Answer} }

func confirmIt() answer { return answer{end: (*saga.Attempt).Confirm} }

func failBy(err error) answer {
	return answer{end: func(a *saga.Attempt) error { return a.Fail(err) }}
}

func timeOut() answer { return answer{end: (*saga.Attempt).TimeOut, silent: true} }

func answerLate() answer {
	return answer{silent: true, end: func(a *saga.Attempt) error {
		_ = a.Call() // its answer is not heard
		return a.TimeOut()
	}}
}

// crash lets the worker die when the work is done, but before that is taken down. Another one goes on.
func (k *kit) crash() answer {
	return answer{silent: true, end: func(a *saga.Attempt) error {
		_ = a.Call()
		return k.trial.TakeOver()
	}}
}
