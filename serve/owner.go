package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/internal/files"
)

// Owner is what a daemon says of itself to others that want the same realm.
type Owner struct {
	PID     int       `json:"pid"`
	Name    string    `json:"name,omitempty"`
	Address string    `json:"address,omitempty"` // empty: it does not listen yet
	Since   time.Time `json:"since"`
}

// OwnedError says that another daemon has the realm. Its code is owned_elsewhere.
type OwnedError struct {
	Realm string
	Owner Owner // zero: it did not say who it is
}

// Error names the owner.
func (e *OwnedError) Error() string {
	who := "another daemon"
	if e.Owner.PID > 0 {
		who = fmt.Sprintf("%s (process %d)", orElse(e.Owner.Name, who), e.Owner.PID)
	}
	at := ""
	if e.Owner.Address != "" {
		at = " at " + e.Owner.Address
	}
	return fmt.Sprintf("realm %s is served by %s%s", e.Realm, who, at)
}

// FaultCode is OwnedElsewhere.
func (*OwnedError) FaultCode() fault.Code { return fault.OwnedElsewhere }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Owners holds realms for this process, so that no other daemon serves them. What holds one is a lock of the system, which ends with the process,
// however it ends; the file beside it only says who it was. Its methods may be called concurrently.
type Owners struct {
	root string
	self Owner

	mu   sync.Mutex
	held map[string]func() error
}

// NewOwners holds realms of a state root for this process, under a name for people.
func NewOwners(stateRoot, name string) *Owners {
	return &Owners{root: stateRoot, self: Owner{PID: os.Getpid(), Name: name, Since: time.Now().UTC().Truncate(time.Second)}, held: map[string]func() error{}}
}

func (o *Owners) path(realm string) string { return filepath.Join(o.root, realm, "daemon.lock") }

// A process that is killed while it starts another leaves its locks to that one for as long as it takes to become a program: so long it is tried again.
const (
	lockTries = 20
	lockPause = 25 * time.Millisecond
)

// Take holds a realm: *OwnedError if another daemon does. One that is held already stays so.
func (o *Owners) Take(realm string) error {
	var owned *OwnedError
	for n := 1; ; n++ {
		err := o.take(realm)
		if !errors.As(err, &owned) || n == lockTries {
			return err
		}
		time.Sleep(lockPause)
	}
}

func (o *Owners) take(realm string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held[realm] != nil {
		return nil
	}
	path := o.path(realm)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("hold realm %s: %w", realm, err)
	}
	unlock, ok, err := files.TryLock(path)
	if err != nil {
		return fmt.Errorf("hold realm %s: %w", realm, err)
	}
	if !ok {
		e := &OwnedError{Realm: realm}
		if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &e.Owner) != nil {
			e.Owner = Owner{} // it is about to write it
		}
		return e
	}
	if err := o.sign(path); err != nil {
		return errors.Join(err, unlock())
	}
	o.held[realm] = unlock
	return nil
}

// sign writes who has the lock into its file, which must stay the same file.
func (o *Owners) sign(path string) error {
	data, err := json.Marshal(o.self)
	if err != nil {
		return fmt.Errorf("say who holds a realm: %w", err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}

// Admit is Take for meerkat.Realms. The realm is held until Release.
func (o *Owners) Admit(realm string) (leave func() error, err error) {
	return func() error { return nil }, o.Take(realm)
}

// At says where this daemon listens, to whoever wants one of its realms.
func (o *Owners) At(address string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.self.Address = address
	var errs []error
	for realm := range o.held {
		errs = append(errs, o.sign(o.path(realm)))
	}
	return errors.Join(errs...)
}

// Release lets all realms go.
func (o *Owners) Release() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for realm, unlock := range o.held {
		errs = append(errs, unlock())
		delete(o.held, realm)
	}
	return errors.Join(errs...)
}
