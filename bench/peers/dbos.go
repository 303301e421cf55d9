//go:build !without_dbos

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // registers the driver "sqlite"
)

// dbosSubject makes each turn a workflow, and each call of the model and of the tool a step of it, as its manual has it. DBOS knows
// workflows, not conversations: the adapter keeps those in memory, which is the cheaper way for it. So a turn is durable here, and
// what was said before it is not.
type dbosSubject struct {
	ctx   dbos.Context
	own   *sql.DB // nil: DBOS opened its database
	model client
	work  dbos.Workflow[turnInput, string]

	mu   sync.Mutex
	said []*[]message // of each session; only its turn touches what is in it
}

type turnInput struct {
	Session int
	Prompt  string
}

func openDBOSNormal(ctx context.Context, url, dir string) (subject, error) {
	return openDBOS(ctx, url, dbos.Config{DatabaseURL: "sqlite:" + filepath.Join(dir, "dbos.db")}, nil)
}

// openDBOSFull hands DBOS a pool that is set up as its own is, but for the one pragma.
func openDBOSFull(ctx context.Context, url, dir string) (subject, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "dbos.db")+
		"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(4)
	db.SetConnMaxLifetime(time.Hour)
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return nil, errors.Join(fmt.Errorf("ask the database for its setting: %w", err), db.Close())
	}
	if synchronous != 2 {
		return nil, errors.Join(fmt.Errorf("synchronous is %d and not FULL", synchronous), db.Close())
	}
	return openDBOS(ctx, url, dbos.Config{SQLiteSystemDB: db}, db)
}

func openDBOS(ctx context.Context, url string, c dbos.Config, own *sql.DB) (subject, error) {
	c.AppName, c.ApplicationVersion, c.Logger = "peers", "1", slog.New(slog.DiscardHandler)
	inner, err := dbos.NewContext(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open DBOS: %w", err)
	}
	s := &dbosSubject{ctx: inner, own: own, model: client{url, newHTTP()}}
	s.work = func(ctx dbos.Context, in turnInput) (string, error) { return s.carryOut(ctx, in) }
	dbos.RegisterWorkflow(inner, s.work)
	if err := dbos.Launch(inner); err != nil {
		return nil, fmt.Errorf("launch DBOS: %w", err)
	}
	return s, nil
}

func (s *dbosSubject) carryOut(ctx dbos.Context, in turnInput) (string, error) {
	s.mu.Lock()
	said := s.said[in.Session]
	s.mu.Unlock()
	*said = append(*said, message{Role: "user", Content: in.Prompt})
	for {
		reply, err := dbos.RunAsStep(ctx, func(ctx context.Context) (message, error) { return s.model.ask(ctx, *said) }, dbos.WithStepName("model"))
		if err != nil {
			return "", err
		}
		*said = append(*said, reply)
		if len(reply.ToolCalls) == 0 {
			return reply.Content, nil
		}
		for _, c := range reply.ToolCalls {
			out, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return callTool() }, dbos.WithStepName(toolName))
			if err != nil {
				return "", err
			}
			*said = append(*said, message{Role: "tool", Content: out, ToolCallID: c.ID})
		}
	}
}

func (s *dbosSubject) session(context.Context) (session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, &[]message{{Role: "system", Content: system}})
	return dbosSession{s, len(s.said) - 1}, nil
}

func (s *dbosSubject) close() error {
	dbos.Shutdown(s.ctx, 5*time.Second)
	if s.own != nil {
		return s.own.Close()
	}
	return nil
}

type dbosSession struct {
	subject *dbosSubject
	index   int
}

func (s dbosSession) turn(ctx context.Context, prompt string) error {
	h, err := dbos.RunWorkflow(s.subject.ctx, s.subject.work, turnInput{s.index, prompt})
	if err != nil {
		return err
	}
	text, err := h.GetResult()
	if err != nil {
		return err
	}
	return answered(text)
}
