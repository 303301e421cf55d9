package wire

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestAn_event_and_a_row_come_back_from_the_wire_as_they_were(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	e := event.Event{Session: "s", Cursor: 7, Time: at, Run: "r", Round: 1, At: transcript.Position{Message: 3, Ordinal: 1}, Payload: event.TextComplete{Content: "a <b>"}}
	n, err := Native(e)
	if err != nil {
		t.Fatal(err)
	}
	var back NativeEvent
	over(t, n, &back)
	if got, err := back.Event(); err != nil || !cmp.Equal(got, e) {
		t.Errorf("%v: %s", err, cmp.Diff(e, got))
	}
	r := transcript.Row{At: e.At, Time: at, Run: "r", Entry: transcript.ToolResult{Call: "c", Name: "n", Content: transcript.TextBlocks("x & y"), IsError: true}}
	w, err := NewRow(r)
	if err != nil {
		t.Fatal(err)
	}
	var row Row
	over(t, w, &row)
	if got, err := row.Row(); err != nil || !cmp.Equal(got, r) {
		t.Errorf("%v: %s", err, cmp.Diff(r, got))
	}
}

func TestAn_event_of_a_later_version_is_kept_as_what_was_published(t *testing.T) {
	t.Parallel()
	e, err := NativeEvent{Cursor: 4, Type: "from_the_future", Payload: json.RawMessage(`{"x":1}`)}.Event()
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := e.Payload.(event.Published); !ok || p.Kind != "from_the_future" || string(p.Body) != `{"x":1}` || e.Cursor != 4 {
		t.Errorf("got %+v", e)
	}
}

func over(t *testing.T, from, to any) {
	t.Helper()
	data, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}
