package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseLine(t *testing.T) {
	t.Parallel()
	const stamp = "2025-06-24 14:36:25 "
	at := time.Date(2025, 6, 24, 14, 36, 25, 0, time.UTC)
	line := func(text string) Line { return Line{Package: "curl:amd64", At: at, Text: stamp + text} }
	for text, want := range map[string]order{
		"install curl:amd64 <none> 1.0":       &Install{Line: line("install curl:amd64 <none> 1.0"), Version: "1.0"},
		"install curl:amd64 0.9 1.0":          &Install{Line: line("install curl:amd64 0.9 1.0"), Before: "0.9", Version: "1.0"},
		"upgrade curl:amd64 1.0 1:1.1-2~deb1": &Upgrade{Line: line("upgrade curl:amd64 1.0 1:1.1-2~deb1"), From: "1.0", To: "1:1.1-2~deb1"},
		"remove curl:amd64 1.0 <none>":        &Remove{Line: line("remove curl:amd64 1.0 <none>"), Version: "1.0"},
		"purge curl:amd64 1.0 <none>":         &Purge{Line: line("purge curl:amd64 1.0 <none>"), Version: "1.0"},
		"disappear curl:amd64 1.0 <none>":     &Disappear{Line: line("disappear curl:amd64 1.0 <none>"), Version: "1.0"},
		"configure curl:amd64 1.0 <none>":     &Configure{Line: line("configure curl:amd64 1.0 <none>"), Version: "1.0"},
		"trigproc curl:amd64 1.0 <none>":      &ProcessTriggers{Line: line("trigproc curl:amd64 1.0 <none>"), Version: "1.0"},
		"status unpacked curl:amd64 1.0":      &NoteState{Line: line("status unpacked curl:amd64 1.0"), State: Unpacked, Version: "1.0"},
		"status not-installed curl:amd64 <none>": &NoteState{
			Line: line("status not-installed curl:amd64 <none>"), State: NotInstalled,
		},
	} {
		got, when, err := parseLine(stamp + text)
		if err != nil || !when.Equal(at) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseLineWithoutPackage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"startup archives unpack", "startup packages configure", "conffile /etc/a b.conf keep", "conffile /etc/x install"} {
		o, at, err := parseLine("2025-06-24 14:36:25 " + text)
		if o != nil || at.IsZero() || !errors.Is(err, errNoPackage) {
			t.Errorf("%s: got %v, %v, %v", text, o, at, err)
		}
	}
}

func TestParseLineMalformed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    "too short",
		"2025-06-24":          "too short",
		"2025-06-24 14:36:25": "too short",
		"2025-13-24 14:36:25 startup archives unpack":                                     "no date and time",
		"yesterday 14:36:25 install curl:amd64 <none> 1.0":                                "no date and time",
		"2025-06-24 14:36:25 explode curl:amd64 1.0 <none>":                               `unknown action "explode"`,
		"2025-06-24 14:36:25 install curl:amd64 <none>":                                   "with 2 words",
		"2025-06-24 14:36:25 install curl:amd64 <none> <none>":                            "no version to install",
		"2025-06-24 14:36:25 upgrade curl:amd64 <none> 1.0":                               "needs two versions",
		"2025-06-24 14:36:25 remove curl:amd64 <none> <none>":                             "remove: no version",
		"2025-06-24 14:36:25 remove curl 1.0 <none>":                                      "no NAME:ARCH",
		"2025-06-24 14:36:25 remove :amd64 1.0 <none>":                                    "no NAME:ARCH",
		"2025-06-24 14:36:25 status happy curl:amd64 1.0":                                 `unknown state "happy"`,
		"2025-06-24 14:36:25 status installed curl:amd64 <none>":                          "no version",
		"2025-06-24 14:36:25 status installed curl\x01:amd64 1.0":                         "name",
		"2025-06-24 14:36:25 conffile":                                                    "2 words are missing",
		"2025-06-24 14:36:25 status installed " + strings.Repeat("x", 300) + ":amd64 1.0": "too long",
	} {
		o, _, err := parseLine(text)
		if o != nil || err == nil || errors.Is(err, errNoPackage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want %q", text, o, err, want)
		}
	}
}
