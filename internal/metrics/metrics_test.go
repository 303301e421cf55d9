package metrics_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/internal/metrics"
)

func told(t *testing.T, s *metrics.Set) string {
	t.Helper()
	var b strings.Builder
	n, err := s.WriteTo(&b)
	if err != nil || int(n) != b.Len() {
		t.Fatalf("%d bytes of %d, %v", n, b.Len(), err)
	}
	return b.String()
}

func TestWhat_was_counted_is_told_in_the_text_format(t *testing.T) {
	t.Parallel()
	var s metrics.Set
	requests := s.Counter("requests_total", "Requests.", "route", "status")
	s.GaugeFunc("up", "Is it up?", func() float64 { return 1 })
	took := s.Histogram("seconds", "How long.", []float64{0.1, 1}, "route")
	requests.With("GET /b", "200").Inc()
	requests.With("GET /a", "200").Add(2)
	requests.With("a\"b\\c\nd", "404").Inc()
	for _, x := range []float64{0.05, 0.1, 0.5, 7} {
		took.With("x").Observe(x)
	}
	want := `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="GET /a",status="200"} 2
requests_total{route="GET /b",status="200"} 1
requests_total{route="a\"b\\c\nd",status="404"} 1
# HELP up Is it up?
# TYPE up gauge
up 1
# HELP seconds How long.
# TYPE seconds histogram
seconds_bucket{route="x",le="0.1"} 2
seconds_bucket{route="x",le="1"} 3
seconds_bucket{route="x",le="+Inf"} 4
seconds_sum{route="x"} 7.65
seconds_count{route="x"} 4
`
	if diff := cmp.Diff(want, told(t, &s)); diff != "" {
		t.Error(diff)
	}
}

func TestMany_count_at_once_and_nothing_is_lost(t *testing.T) {
	t.Parallel()
	var s metrics.Set
	c := s.Counter("n_total", "n", "by")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 1000 {
				c.With(strconv.Itoa(n % 2)).Inc()
			}
		})
	}
	wg.Wait()
	if got := c.With("0").Value() + c.With("1").Value(); got != 8000 {
		t.Errorf("counted %v", got)
	}
}

func TestLabels_that_callers_make_up_do_not_fill_the_memory(t *testing.T) {
	t.Parallel()
	var s metrics.Set
	c := s.Counter("n_total", "n", "by")
	for n := range 3 * metrics.MaxSeries {
		c.With(strconv.Itoa(n)).Inc()
	}
	text := told(t, &s)
	if lines := strings.Count(text, "\n"); lines > metrics.MaxSeries+3 {
		t.Errorf("%d lines", lines)
	}
	if got := c.With("other").Value(); got != 2*metrics.MaxSeries {
		t.Errorf("%v are counted together", got)
	}
}
