// Package metrics counts what a process does and tells it in the text format of Prometheus.
//
// It is small on purpose: the well-known libraries cost every start of the program half a millisecond and more, also where nothing is counted. A
// family has a fixed list of label names; its values are made when they are first counted, up to a bound, beyond which they are counted together.
package metrics

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// MaxSeries is how many series one family may have. What comes then is counted under labels of the value "other", so that no caller can make a
// process grow.
const MaxSeries = 512

// Set is a set of families. The zero value is ready. All methods may be called concurrently.
type Set struct {
	mu       sync.Mutex
	families []*family
}

type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// family is all series of one name.
type family struct {
	name, help string
	kind       kind
	labels     []string
	bounds     []float64
	read       func() float64 // of a family that is read when it is told

	mu     sync.RWMutex
	series map[string]*Series
}

// Series is one row of numbers.
type Series struct {
	bits    atomic.Uint64 // of a float: the value, or the sum
	count   atomic.Uint64
	buckets []atomic.Uint64 // not cumulative
	bounds  []float64
}

// Vec makes the series of a family.
type Vec struct{ f *family }

func (s *Set) add(f *family) Vec {
	f.series = map[string]*Series{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.families = append(s.families, f)
	return Vec{f}
}

// Counter adds a family whose values only grow. Its name ends with _total.
func (s *Set) Counter(name, help string, labels ...string) Vec {
	return s.add(&family{name: name, help: help, kind: counter, labels: labels})
}

// Gauge adds a family whose values go up and down.
func (s *Set) Gauge(name, help string, labels ...string) Vec {
	return s.add(&family{name: name, help: help, kind: gauge, labels: labels})
}

// GaugeFunc adds a value that is read when it is told.
func (s *Set) GaugeFunc(name, help string, read func() float64) {
	s.add(&family{name: name, help: help, kind: gauge, read: read})
}

// CounterFunc is GaugeFunc for a value that only grows.
func (s *Set) CounterFunc(name, help string, read func() float64) {
	s.add(&family{name: name, help: help, kind: counter, read: read})
}

// Histogram adds a family that counts values by their size. The bounds rise; one without an end is added.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) Vec {
	return s.add(&family{name: name, help: help, kind: histogram, labels: labels, bounds: bounds})
}

// With returns the series with these values of the family's labels, of which there must be as many.
func (v Vec) With(values ...string) *Series {
	if len(values) != len(v.f.labels) {
		panic("metrics: " + v.f.name + " has other labels") // a mistake of the program, seen at its first use
	}
	key := v.f.key(values)
	v.f.mu.RLock()
	s := v.f.series[key]
	v.f.mu.RUnlock()
	if s != nil {
		return s
	}
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	if s = v.f.series[key]; s != nil {
		return s
	}
	if len(v.f.series) >= MaxSeries {
		other := make([]string, len(values))
		for n := range other {
			other[n] = "other"
		}
		key = v.f.key(other)
		if s = v.f.series[key]; s != nil {
			return s
		}
	}
	s = &Series{buckets: make([]atomic.Uint64, len(v.f.bounds)+1), bounds: v.f.bounds}
	v.f.series[key] = s
	return s
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// key is the labels as they are told, without braces.
func (f *family) key(values []string) string {
	if len(values) == 0 {
		return ""
	}
	var b strings.Builder
	for n, value := range values {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(f.labels[n])
		b.WriteString(`="`)
		_, _ = escape.WriteString(&b, value) // a Builder takes all
		b.WriteByte('"')
	}
	return b.String()
}

// Add adds to a counter or a gauge.
func (s *Series) Add(x float64) {
	for {
		old := s.bits.Load()
		if s.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

// Inc adds one.
func (s *Series) Inc() { s.Add(1) }

// Set sets a gauge.
func (s *Series) Set(x float64) { s.bits.Store(math.Float64bits(x)) }

// Value is what a counter or a gauge stands at.
func (s *Series) Value() float64 { return math.Float64frombits(s.bits.Load()) }

// Observe counts a value in a histogram.
func (s *Series) Observe(x float64) {
	n, _ := slices.BinarySearch(s.bounds, x)
	s.buckets[n].Add(1)
	s.count.Add(1)
	s.Add(x)
}

// WriteTo tells all families, in the order in which they were added.
func (s *Set) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	families := slices.Clone(s.families)
	s.mu.Unlock()
	c := &counting{w: w}
	b := bufio.NewWriter(c)
	for _, f := range families {
		f.write(b)
	}
	err := b.Flush()
	return c.n, err
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// write tells a family. A bufio.Writer keeps its first error for Flush.
func (f *family) write(b *bufio.Writer) {
	put := func(parts ...string) {
		for _, p := range parts {
			_, _ = b.WriteString(p)
		}
	}
	row := func(name, labels, value string) {
		if labels != "" {
			labels = "{" + labels + "}"
		}
		put(name, labels, " ", value, "\n")
	}
	put("# HELP ", f.name, " ", f.help, "\n# TYPE ", f.name, " ", string(f.kind), "\n")
	if f.read != nil {
		row(f.name, "", number(f.read()))
		return
	}
	f.mu.RLock()
	all := make(map[string]*Series, len(f.series))
	var keys []string
	for k, s := range f.series {
		all[k], keys = s, append(keys, k)
	}
	f.mu.RUnlock()
	slices.Sort(keys)
	for _, key := range keys {
		s := all[key]
		if f.kind != histogram {
			row(f.name, key, number(s.Value()))
			continue
		}
		more := key
		if more != "" {
			more += ","
		}
		sum := uint64(0)
		for n := range s.buckets {
			sum += s.buckets[n].Load()
			bound := "+Inf"
			if n < len(f.bounds) {
				bound = number(f.bounds[n])
			}
			row(f.name+"_bucket", more+`le="`+bound+`"`, strconv.FormatUint(sum, 10))
		}
		row(f.name+"_sum", key, number(s.Value()))
		row(f.name+"_count", key, strconv.FormatUint(sum, 10))
	}
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
