package mongostore_test

import (
	"testing"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store/mongostore"
)

func TestAServerIsExamined(t *testing.T) {
	for _, variable := range []string{mongoServer, ferretServer} {
		t.Run(variable, func(t *testing.T) {
			url := testserver.URL(t, variable)
			b, err := mongostore.Open(t.Context(), url, mongostore.Options{Database: newDatabase(t, url), AutoMigrate: true})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			findings, err := b.Diagnose(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, check := range []string{"version", "clock", "permissions"} {
				if f, ok := checkup.Find(findings, check); !ok || f.Level != checkup.OK || f.Found == "" {
					t.Errorf("%s: %+v", check, f)
				}
			}
			if f, ok := checkup.Find(findings, "durability"); !ok || variable == ferretServer && (f.Level != checkup.Warn || f.Cure == "") {
				t.Errorf("durability: %+v", f)
			}
		})
	}
}
