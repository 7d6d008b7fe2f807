package aggregatetest

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// compare lists the events of both sides line by line, and tells whether they are the same.
func compare(want, got []any) (lines []string, same bool) {
	same = true
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			lines, same = append(lines, fmt.Sprintf("  %d. missing    %s", i+1, show(want[i]))), false
		case i >= len(want):
			lines, same = append(lines, fmt.Sprintf("  %d. unexpected %s", i+1, show(got[i]))), false
		default:
			differences := differ("", reflect.ValueOf(want[i]), reflect.ValueOf(got[i]))
			if len(differences) == 0 {
				lines = append(lines, fmt.Sprintf("  %d. same       %s", i+1, show(got[i])))
				continue
			}
			same = false
			lines = append(lines, fmt.Sprintf("  %d. want       %s", i+1, show(want[i])), fmt.Sprintf("     got        %s", show(got[i])))
			for _, d := range differences {
				lines = append(lines, "       "+d)
			}
		}
	}
	return lines, same
}

// differ lists where two values differ, by path. Times are the same if they are the same instant.
func differ(path string, want, got reflect.Value) []string {
	if !want.IsValid() || !got.IsValid() || want.Type() != got.Type() {
		if !want.IsValid() && !got.IsValid() {
			return nil
		}
		return []string{fmt.Sprintf("%s: want the type %s, got %s", name(path), typeName(want), typeName(got))}
	}
	if want.CanInterface() && got.CanInterface() {
		a, b := want.Interface(), got.Interface()
		if instant, ok := a.(time.Time); ok {
			if instant.Equal(b.(time.Time)) {
				return nil
			}
			return []string{fmt.Sprintf("%s: want %v, got %v", name(path), a, b)}
		}
		if reflect.DeepEqual(a, b) {
			return nil
		}
	}
	switch want.Kind() {
	case reflect.Struct:
		var all []string
		for i := range want.NumField() {
			all = append(all, differ(path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))...)
		}
		return all
	case reflect.Pointer:
		if !want.IsNil() && !got.IsNil() {
			return differ(path, want.Elem(), got.Elem())
		}
	case reflect.Slice, reflect.Array:
		if want.Len() == got.Len() {
			var all []string
			for i := range want.Len() {
				all = append(all, differ(fmt.Sprintf("%s[%d]", path, i), want.Index(i), got.Index(i))...)
			}
			return all
		}
	case reflect.Interface:
		return differ(path, want.Elem(), got.Elem())
	}
	if a, b := fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got); want.CanInterface() || a != b {
		return []string{fmt.Sprintf("%s: want %s, got %s", name(path), a, b)}
	}
	return nil
}

func name(path string) string {
	if path == "" {
		return "the event"
	}
	return strings.TrimPrefix(path, ".")
}

func typeName(v reflect.Value) string {
	if !v.IsValid() {
		return "nil"
	}
	return v.Type().String()
}

// show prints an event, through a pointer.
func show(e any) string {
	if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && !v.IsNil() {
		return fmt.Sprintf("&%T%+v", v.Elem().Interface(), v.Elem().Interface())
	}
	return fmt.Sprintf("%T%+v", e, e)
}

func count(events []any) string {
	switch len(events) {
	case 0:
		return "no events"
	case 1:
		return "1 event"
	default:
		return fmt.Sprintf("%d events", len(events))
	}
}
