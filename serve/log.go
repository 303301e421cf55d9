package serve

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Logger makes a log with one line for each thing that happens, of a level (debug, info, warn, error, off) and above, as text or json.
func Logger(w io.Writer, level, format string) (*slog.Logger, error) {
	l, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, invalid("there is no log format %q: use text or json", format)
}

// off is above all levels.
const off = slog.Level(100)

func parseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "trace", "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "off", "none":
		return off, nil
	}
	return 0, fmt.Errorf("level of the log: %w", invalid("there is no level %q: use debug, info, warn, error or off", name))
}

// FilterLevel takes a level out of a filter such as info,meerkat=debug: the one that is for everything, and info where there is none. What it cannot
// read counts for nothing, since the filter may be meant for other programs.
func FilterLevel(filter string) string {
	for part := range strings.SplitSeq(filter, ",") {
		if _, err := parseLevel(part); err == nil && strings.TrimSpace(part) != "" {
			return strings.TrimSpace(part)
		}
	}
	return "info"
}
