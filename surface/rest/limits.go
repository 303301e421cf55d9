package rest

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds how many callers are told apart. Beyond it those that have asked for nothing for a while are forgotten, and if there are none,
// strangers share a bucket: a crowd may slow itself down, and cannot take memory.
const maxBuckets = 4096

// limits is how fast each caller may ask.
type limits struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	swept   time.Time
	crowd   *rate.Limiter
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, buckets: map[string]*rate.Limiter{}, crowd: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// allow takes one request from a caller's bucket, if there is one left.
func (l *limits) allow(who string) bool {
	l.mu.Lock()
	b := l.buckets[who]
	if b == nil {
		b = l.add(who, time.Now())
	}
	l.mu.Unlock()
	return b.Allow()
}

func (l *limits) add(who string, now time.Time) *rate.Limiter {
	if len(l.buckets) >= maxBuckets && now.Sub(l.swept) > time.Second {
		l.swept = now
		for k, b := range l.buckets {
			if b.TokensAt(now) >= float64(l.burst) { // full: to forget it changes nothing
				delete(l.buckets, k)
			}
		}
	}
	if len(l.buckets) >= maxBuckets {
		return l.crowd
	}
	b := rate.NewLimiter(l.rate, l.burst)
	l.buckets[who] = b
	return b
}

// gauge counts what is open, altogether and of each caller.
type gauge struct {
	max, each int
	full      error // max is reached
	yours     error // each is
	mu        sync.Mutex
	all       int
	of        map[string]int
}

func newGauge(most, each int, full, yours error) *gauge {
	return &gauge{max: most, each: each, full: full, yours: yours, of: map[string]int{}}
}

// open counts one more. Its error says which bound was reached; otherwise what it returns must be called once.
func (g *gauge) open(who string) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.of[who] >= g.each:
		return nil, g.yours
	case g.all >= g.max:
		return nil, g.full
	}
	g.all++
	g.of[who]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		if g.of[who]--; g.of[who] == 0 {
			delete(g.of, who)
		}
	}, nil
}

// budget is memory that all bodies share.
type budget struct {
	max  int64
	mu   sync.Mutex
	used int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.max {
		return false
	}
	b.used += n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}
