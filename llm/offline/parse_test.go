package offline

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// phrases maps what people say to the rule that answers it. A phrase that begins with "| " comes with standard input.
var phrases = []struct{ say, want string }{
	{"what is in this folder?", "folder{path:.}"},
	{"What's in this folder", "folder{path:.}"},
	{"WHATS HERE??", "folder{path:.}"},
	{"Please can you show me what is in this folder", "folder{path:.}"},
	{"list the files", "folder{path:.}"},
	{"ls docs", "folder{path:docs}"},
	{"what files are there?", "folder{path:.}"},
	{"what does this project do?", "folder{path:.}"},
	{"tell me about this repository", "folder{path:.}"},
	{"give me an overview of the project", "folder{path:.}"},
	{"summarise this folder", "folder{path:.}"},
	{"what is in docs?", "folder{path:docs}"},
	{"what is in the docs folder", "folder{path:docs}"},
	{"what is in 'my docs/'?", "folder{path:my docs/}"},
	{"read README.md", "read{paths:[README.md] stdin:false}"},
	{"Read the readme, please.", "read{paths:[readme] stdin:false}"},
	{`read "my file.txt"`, "read{paths:[my file.txt] stdin:false}"},
	{"read “my file.txt”", "read{paths:[my file.txt] stdin:false}"},
	{"show a.txt and b.txt", "read{paths:[a.txt b.txt] stdin:false}"},
	{"what does README.md say?", "read{paths:[README.md] stdin:false}"},
	{"what's in go.mod?", "read{paths:[go.mod] stdin:false}"},
	{"| read it", "read{paths:[] stdin:true}"},
	{"summarise README.md", "summarise{path:README.md}"},
	{"summarize the readme", "summarise{path:readme}"},
	{"read README.md and tell me what it says", "summarise{path:README.md}"},
	{"give me a short summary of notes.txt", "summarise{path:notes.txt}"},
	{"summarise", "summarise{path:}"},
	{"| summarise this", "summarise{path:}"},
	{"| give me a short summary", "summarise{path:}"},
	{"| what is this?", "summarise{path:}"},
	{"| ", "summarise{path:}"},
	{"find *.go", "find{what: names:false glob:*.go in:. count:false stdin:false}"},
	{"find all markdown files in docs", "find{what: names:false glob:*.{md,markdown} in:docs count:false stdin:false}"},
	{"list all go files", "find{what: names:false glob:*.go in:. count:false stdin:false}"},
	{"find files named main.go", "find{what: names:false glob:main.go in:. count:false stdin:false}"},
	{"find TODO", "find{what:TODO names:true glob: in:. count:false stdin:false}"},
	{"search for 'TODO: fix' in docs", "find{what:TODO: fix names:false glob: in:docs count:false stdin:false}"},
	{"search docs for TODO", "find{what:TODO names:true glob: in:docs count:false stdin:false}"},
	{"grep Parse llm/llm.go", "find{what:Parse names:true glob: in:llm/llm.go count:false stdin:false}"},
	{"where is the function Parse defined?", "find{what:Parse names:true glob: in:. count:false stdin:false}"},
	{`which files contain "TODO"?`, "find{what:TODO names:false glob: in:. count:false stdin:false}"},
	{`| find "error"`, "find{what:error names:false glob: in:. count:false stdin:true}"},
	{"how many times does err occur in main.go?", "find{what:err names:false glob: in:main.go count:true stdin:false}"},
	{"how many files are there?", "countFiles{endings:[] folders:false in:.}"},
	{"how many Go files are in docs?", "countFiles{endings:[go] folders:false in:docs}"},
	{"how many folders are there?", "countFiles{endings:[] folders:true in:.}"},
	{"count the lines of notes.txt", "countText{path:notes.txt unit:lines stdin:false}"},
	{"how many words are in README.md?", "countText{path:README.md unit:words stdin:false}"},
	{"how many lines of go are there?", "countText{path:go unit:lines stdin:false}"},
	{"| how many words are there?", "countText{path: unit:words stdin:true}"},
	{"compare a.txt and b.txt", "compare{a:a.txt b:b.txt}"},
	{`what is the difference between a.txt and "b c.txt"?`, "compare{a:a.txt b:b c.txt}"},
	{"are a.txt and b.txt the same?", "compare{a:a.txt b:b.txt}"},
	{"write 'hello' to hello.txt", "write{path:hello.txt content:hello stdin:false}"},
	{"write hello world to hello.txt", "write{path:hello.txt content:hello world stdin:false}"},
	{`write 'it's "fine"' to 'a b.txt'`, `write{path:a b.txt content:it's "fine" stdin:false}`},
	{"create a file notes.md with 'first line'", "write{path:notes.md content:first line stdin:false}"},
	{"create an empty file x.txt", "write{path:x.txt content: stdin:false}"},
	{"| save it to out.txt", "write{path:out.txt content: stdin:true}"},
	{"write a poem to poem.txt", "compose{}"},
	{"write tests for parser.go", "compose{}"},
	{`change "foo bar" to "baz" in the file x.txt`, "replace{path:x.txt old:foo bar new:baz}"},
	{"run `go version`", "command{line:go version}"},
	{"execute \"ls -la\"", "command{line:ls -la}"},
	{"Run the command `make check`, please.", "command{line:make check}"},
	{"run grep 'a b' x.txt", "command{line:grep 'a b' x.txt}"},
	{"run the tests", "command{line:}"},
	{"what time is it?", "clock{}"},
	{"help", "help{}"},
	{"Hi!", "help{}"},
	{"", "help{}"},
	{"what is the meaning of life?", "unknown{}"},
	{"delete main.go", "unknown{}"},
	{"fix the bug in main.go", "unknown{}"},
	{"what is 2+2?", "unknown{}"},
	{"create a folder x", "unknown{}"},
	{"find out why the build fails", "unknown{}"},
	{"| translate this", "unknown{}"},
}

func Test_a_phrase_is_understood_as_what_it_says(t *testing.T) {
	t.Parallel()
	for _, p := range phrases {
		say, piped := strings.CutPrefix(p.say, "| ")
		r, rest := parse(say, piped)
		if got := strings.TrimPrefix(fmt.Sprintf("%T%+v", r, r), "offline."); got != p.want || rest != "" {
			t.Errorf("%q is understood as %s and %q, want %s", p.say, got, rest, p.want)
		}
	}
}

func Test_a_second_request_is_not_lost(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]string{
		"read a.txt and then write 'x' to b.txt": `write "x" to b.txt`,
		"read a.txt and delete it":               "delete it",
		"write 'a and run b' to c.txt":           "",
	} {
		if _, rest := parse(say, false); rest != want {
			t.Errorf("of %q is left %q, want %q", say, rest, want)
		}
	}
}

func Test_standard_input_is_told_from_the_request(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		message, prompt, stdin string
		piped                  bool
	}{
		{"<stdin>\na\nb\n</stdin>\n\nsummarise", "summarise", "a\nb", true},
		{"summarise <stdin></stdin>", "summarise", "", true},
		{"<stdin>x </stdin> y</stdin> count", "count", "x </stdin> y", true},
		{"what does <stdin> mean?", "what does <stdin> mean?", "", false},
		{"</stdin><stdin>", "</stdin><stdin>", "", false},
	} {
		prompt, stdin, piped := splitStdin(c.message)
		if prompt != c.prompt || stdin != c.stdin || piped != c.piped {
			t.Errorf("%q gives %q, %q, %v", c.message, prompt, stdin, piped)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range phrases {
		say, piped := strings.CutPrefix(p.say, "| ")
		f.Add(say, piped)
	}
	f.Add("read 'a", false)
	f.Add("“„«`'\"", true)
	f.Fuzz(func(t *testing.T, say string, piped bool) {
		r, _ := parse(say, piped)
		if r == nil {
			t.Fatalf("%q is not even unknown", say)
		}
		if again, _ := parse(say, piped); fmt.Sprintf("%T%+v", r, r) != fmt.Sprintf("%T%+v", again, again) {
			t.Fatalf("%q is understood in two ways", say)
		}
	})
}

func Test_every_example_of_the_document_is_understood(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/offline.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{"look": "folder", "read": "read", "summarise": "summarise", "find files": "find", "find text": "find", "count": "count",
		"compare": "compare", "write": "write", "replace": "replace", "run": "command", "time": "clock", "help": "help"}
	said := 0
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, " | ")
		want, ok := rules[strings.TrimPrefix(cells[0], "| ")]
		if !ok || len(cells) != 3 {
			continue
		}
		for example := range strings.SplitSeq(cells[1], " · ") {
			say := strings.TrimSpace(strings.Trim(example, "`"))
			if strings.HasPrefix(example, "``") {
				say = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(example, "``"), "``"))
			}
			r, rest := parse(say, false)
			got := strings.TrimPrefix(fmt.Sprintf("%T", r), "offline.")
			if !strings.HasPrefix(got, want) && !(want == "count" && got == "find") || rest != "" {
				t.Errorf("the document says that %q is for %s, and it is understood as %s and %q", say, want, got, rest)
			}
			said++
		}
	}
	if said < 30 {
		t.Errorf("only %d examples were found", said)
	}
}
