package offline

import (
	"fmt"
	"strings"
)

// write asks to make a file.
type write struct {
	path, content string
	stdin         bool // the content is standard input
}

func (r write) answer(t *talk) string {
	if !t.offers(writeFile) {
		return t.lacking(writeFile)
	}
	content := r.content
	if r.stdin {
		content = t.stdin
	}
	if content != "" && !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	res, ok := t.call(writeFile, map[string]any{"path": r.path, "content": content})
	if !ok {
		return ""
	}
	if res.failed {
		return failure("write "+code(r.path), res)
	}
	text := fmt.Sprintf("I have written %s: %s.", code(r.path), number(len(content), "byte", "bytes"))
	if content == "" {
		text = fmt.Sprintf("I have made %s. It is empty.", code(r.path))
	}
	return remarks(text, []string{oneLine(res.text)})
}

// compose asks for a text that nobody has written yet.
type compose struct{}

func (compose) answer(*talk) string {
	return "I cannot make up text or code: I am a stand-in made of rules. I can write what you give me, in quotes: write 'some text' to notes.txt.\n\n" + realModel
}

// oneLine is the first line of what a tool said.
func oneLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return clipped(line)
}

// replace asks to change a text in a file.
type replace struct{ path, old, new string }

func (r replace) answer(t *talk) string {
	if !t.offers(editFile) {
		return t.lacking(editFile)
	}
	args := map[string]any{"path": r.path}
	args[t.argument(editFile, "old_string", "old", "old_text", "find")] = r.old
	args[t.argument(editFile, "new_string", "new", "new_text", "replace")] = r.new
	res, ok := t.call(editFile, args)
	if !ok {
		return ""
	}
	if res.failed {
		return failure(fmt.Sprintf("replace %s in %s", code(r.old), code(r.path)), res)
	}
	return fmt.Sprintf("I have replaced %s by %s in %s.\n\n%s", code(r.old), code(r.new), code(r.path), fence("", res.text))
}

// command asks to run a command line. Empty: it was not said which.
type command struct{ line string }

func (r command) answer(t *talk) string {
	if r.line == "" {
		return "Tell me the command itself, in backticks: run `go test ./...`. I am a stand-in and cannot work out which command you mean."
	}
	if !t.offers(shell) {
		return t.lacking(shell)
	}
	res, ok := t.call(shell, map[string]any{t.argument(shell, "command", "cmd", "script"): r.line})
	if !ok {
		return ""
	}
	if res.failed && res.code != "" && res.code != "execution_failed" {
		return failure("run "+code(r.line), res)
	}
	head := "I have run " + code(r.line)
	if res.failed {
		head += ", and it failed"
	}
	all := lines(res.text)
	if len(all) == 0 {
		return head + ". It said nothing."
	}
	text := head + ":\n\n"
	if n := len(all) - maxShown; n > 0 {
		text += fmt.Sprintf("(%s before these are not shown)\n\n", number(n, "line", "lines"))
		all = all[n:]
	}
	return text + fence("", strings.Join(all, "\n"))
}

// clock asks for the time.
type clock struct{}

func (clock) answer(t *talk) string {
	const datetime = "datetime"
	if !t.offers(datetime) {
		return t.lacking(datetime)
	}
	res, ok := t.call(datetime, nil)
	if !ok {
		return ""
	}
	if res.failed {
		return failure("find out the time", res)
	}
	return "It is " + oneLine(res.text) + "."
}

const abilities = `I am the model ` + "`offline`" + `: a stand-in made of rules, not a language model. I understand these requests about the folder you work in:

- **look**: "what is in this folder?", "list docs"
- **read**: "read README.md", "show a.txt and b.txt"
- **summarise**: "summarise notes.md", or text on standard input
- **find**: "find *.go", "search for 'TODO' in docs", "where is Parse defined?"
- **count**: "how many Go files are there?", "count the lines of main.go", "how many times does err occur in main.go?"
- **compare**: "compare a.txt and b.txt"
- **write**: "write 'hello' to hello.txt", "create a file notes.md with 'first line'", "replace 'a' with 'b' in x.txt" (these need ` + "`--tools workspace`" + `)
- **run**: "run ` + "`go version`" + `" (this needs ` + "`--tools full`" + `)
- **time**: "what time is it?"`

const realModel = `For a real model set ` + "`OPENAI_API_KEY`" + ` or ` + "`ANTHROPIC_API_KEY`" + `, or start a local server such as Ollama, and leave out ` + "`--model offline`" + `.`

// help asks what there is to ask.
type help struct{}

func (help) answer(*talk) string { return abilities + "\n\n" + realModel }

// unknown is what no rule understands.
type unknown struct{}

func (unknown) answer(t *talk) string {
	text := "I do not understand that request, and I will not make up an answer.\n\n" + abilities + "\n\n" + realModel
	if t.piped {
		text += "\n\nYou gave me text on standard input: I can summarise it, count its lines or words, search it, or save it to a file."
	}
	return text
}
