package rabbitbroker

import (
	"testing"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/internal/testserver"
)

func TestAServerIsExamined(t *testing.T) {
	b, err := Open(t.Context(), testserver.URL(t, "TEST_RABBITMQ_URL"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	findings, err := b.Diagnose(t.Context())
	if err != nil || checkup.Worst(findings) == checkup.Fail {
		t.Fatalf("found %+v, %v", findings, err)
	}
	for _, check := range []string{"durability", "permissions", "flow"} {
		if f, ok := checkup.Find(findings, check); !ok || f.Level != checkup.OK || f.Found == "" {
			t.Errorf("%s: %+v", check, f)
		}
	}
}

func TestOldServersAreWarnedOf(t *testing.T) {
	for text, want := range map[string]checkup.Level{
		"3.8.2": checkup.Fail, "3.10.8": checkup.Warn, "3.12.0": checkup.OK, "4.1.0": checkup.OK, "unknown": checkup.OK, "x.y": checkup.OK,
	} {
		if f := version(text); f.Level != want || (f.Cure == "") != (want == checkup.OK) {
			t.Errorf("%s: %+v, want %s", text, f, want)
		}
	}
}
