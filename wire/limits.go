package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// BudgetLimits bounds what a session may use. Nil: not bounded.
type BudgetLimits struct {
	Tokens   *uint64   `json:"max_tokens,omitempty"`
	Duration *Duration `json:"max_duration,omitempty"`
	Calls    *uint64   `json:"max_tool_calls,omitempty"`
}

// Duration is a length of time: {"secs":…,"nanos":…}, or read from a number of seconds.
type Duration time.Duration

type parts struct {
	Secs  *uint64 `json:"secs"`
	Nanos uint32  `json:"nanos"`
}

// MarshalJSON writes seconds and nanoseconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	secs, nanos := uint64(max(d, 0))/uint64(time.Second), uint32(uint64(max(d, 0))%uint64(time.Second))
	return json.Marshal(parts{&secs, nanos})
}

// UnmarshalJSON reads either form.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		var in parts
		if err := json.Unmarshal(data, &in); err != nil {
			return err
		}
		if in.Secs == nil || in.Nanos >= uint32(time.Second) || *in.Secs > math.MaxInt64/uint64(time.Second)-1 {
			return fmt.Errorf("a duration has secs, and fewer than a thousand million nanos")
		}
		*d = Duration(time.Duration(*in.Secs)*time.Second + time.Duration(in.Nanos))
		return nil
	}
	var secs float64
	if err := json.Unmarshal(data, &secs); err != nil {
		return fmt.Errorf("a duration is {secs, nanos} or a number of seconds: %w", err)
	}
	if secs < 0 || secs >= float64(math.MaxInt64/int64(time.Second)) {
		return fmt.Errorf("a duration cannot be %v seconds", secs)
	}
	*d = Duration(secs * float64(time.Second))
	return nil
}
