package rehearsal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// conversation is what a script can ask of the rows up to some point.
type conversation struct {
	users int    // messages of the user so far
	round int    // replies since the last of them
	reply int    // replies
	user  string // the last message of the user
	lower string // the same in lower case

	results   []result
	fromReply int // where the results of the last reply's calls begin
	fromUser  int // where the results after the user's last message begin
	calls     map[id.Call]transcript.ToolUse
	root      transcript.Row // the first message of the user: it tells one conversation from another
}

// result is a tool result as a script sees it.
type result struct {
	tool, args, text, code string
	failed                 bool
}

// add takes in the next row. Notices and instructions are nothing a script looks at.
func (c *conversation) add(row transcript.Row) {
	switch e := row.Entry.(type) {
	case transcript.User:
		if c.users == 0 {
			c.root = row
		}
		c.users++
		c.round = 0
		c.user = e.Content.Plain()
		c.lower = strings.ToLower(c.user)
		c.fromUser = len(c.results)
	case transcript.Assistant:
		c.round++
		c.reply++
		c.fromReply = len(c.results)
		for _, u := range e.Blocks.ToolUses() {
			if c.calls == nil {
				c.calls = map[id.Call]transcript.ToolUse{}
			}
			c.calls[u.ID] = u
		}
	case transcript.ToolResult:
		call := c.calls[e.Call]
		r := result{tool: e.Name, args: string(call.Args), text: e.Content.Plain(), code: e.Code, failed: e.IsError}
		if r.tool == "" {
			r.tool = call.Name
		}
		c.results = append(c.results, r)
	case transcript.System, transcript.Notice:
	}
}

// turn counts the user's messages before the one that is answered.
func (c *conversation) turn() int { return max(0, c.users-1) }

// since returns the results of a place. Before the first reply there are none.
func (c *conversation) since(s Since) []result {
	switch s {
	case SinceUser:
		return c.results[c.fromUser:]
	case SinceStart:
		return c.results
	default:
		return c.results[c.fromReply:]
	}
}

// list shows the results after the user's last message, as a Markdown list.
func (c *conversation) list() string {
	results := c.since(SinceUser)
	if len(results) == 0 {
		return "(no tool results)"
	}
	lines := make([]string, len(results))
	for i, r := range results {
		text := strings.ReplaceAll(strings.TrimSpace(r.text), "\n", "\n  ")
		lines[i] = fmt.Sprintf("- `%s`%s: %s", strings.TrimSpace(r.tool+" "+r.args), r.mark(), text)
	}
	return strings.Join(lines, "\n")
}

// mark says in brackets how a result is no ordinary one.
func (r result) mark() string {
	switch {
	case r.code != "":
		return " (" + r.code + ")"
	case r.failed:
		return " (error)"
	}
	return ""
}

// describe says where the conversation stands, for a script's author.
func (c *conversation) describe() string {
	text := c.user
	if r := []rune(text); len(r) > 80 {
		text = string(r[:80]) + "…"
	}
	var results []string
	for _, r := range c.since(SinceReply) {
		results = append(results, r.tool+r.mark())
	}
	if results == nil {
		results = []string{"none"}
	}
	return fmt.Sprintf("turn %d, round %d, reply %d, user %q, results since the last reply: %s",
		c.turn(), c.round, c.reply, text, strings.Join(results, ", "))
}

// key names this point of this conversation. A call id made from it stays the same in a process that comes back, and differs
// between sessions.
func (c *conversation) key(kind string, n int) [sha256.Size]byte {
	h := sha256.New()
	var nums [48]byte
	for i, v := range []int64{unix(c.root.Time), int64(c.root.At.Message), int64(c.users), int64(c.reply), int64(len(c.results)), int64(n)} {
		binary.BigEndian.PutUint64(nums[8*i:], uint64(v))
	}
	h.Write(nums[:])
	for _, s := range []string{kind, string(c.root.Run), c.user} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// callID derives the id of the n-th call of the next reply.
func (c *conversation) callID(tool string, n int) id.Call {
	sum := c.key(tool, n)
	return id.Call("call_" + hex.EncodeToString(sum[:10]))
}
