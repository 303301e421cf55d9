package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/meerkat-go/meerkat/store"
)

// The log's file: a header, then frames of one page each. Both are checked by a sum that runs on from frame to frame.
const (
	logHeader   = 32
	frameHeader = 24
	logLooks    = 5 // somebody may write while we look: what is seen in each of so many looks is so
)

// CheckLog looks for what the log beside a store file has lost: ErrCorrupt. SQLite does not tell: it takes the log for shorter, and what was committed
// there is as if it had never been. The traces go when the file is opened, so this comes first. Of a file that this process has open it says nothing:
// to look would drop the process's locks.
func CheckLog(path string) error {
	path, err := filepath.Abs(path)
	if err != nil || openHere.has(path) {
		return explain(path+"-wal", "check the log of the session store", err)
	}
	for range logLooks {
		if err = checkLog(path); !errors.Is(err, store.ErrCorrupt) {
			break
		}
	}
	return explain(path+"-wal", "check the log of the session store", err)
}

func checkLog(path string) error {
	before, err := readIndex(path + "-shm")
	if err != nil {
		return err
	}
	seen, err := scanLog(path + "-wal")
	if err != nil {
		return err
	}
	after, err := readIndex(path + "-shm")
	if err != nil || before != after {
		return err // it is being written
	}
	known := before.there && (seen.whole == 0 || before.salt == seen.salt)
	switch {
	case known && before.frames > seen.whole && before.folded < before.frames:
		return fmt.Errorf("%w: %d pages were committed to it and %d can be read: what was written last is lost", store.ErrCorrupt, before.frames, seen.whole)
	case seen.behind > 0:
		return fmt.Errorf("%w: page %d of it is damaged, and %d more that follow are of no use: what was written last may be lost", store.ErrCorrupt,
			seen.broken, seen.behind)
	}
	return nil
}

// openFiles counts the stores that this process has open, by path.
type openFiles struct {
	mu sync.Mutex
	n  map[string]int
}

var openHere = openFiles{n: map[string]int{}}

func (o *openFiles) add(path string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n[path] += n; o.n[path] == 0 {
		delete(o.n, path)
	}
}

func (o *openFiles) has(path string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n[path] > 0
}

// IsOpen reports whether this process has a store open at that path.
func IsOpen(path string) bool {
	path, err := filepath.Abs(path)
	return err == nil && openHere.has(path)
}

// logIndex is what the shared index knows of the log. It outlives a process that was killed, and not the machine.
type logIndex struct {
	there          bool
	frames, folded uint32 // committed; and those that are in the database already
	salt           [8]byte
}

func readIndex(path string) (x logIndex, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, 100)
	if _, err := io.ReadFull(f, head); err != nil {
		return x, ignoreShort(err)
	}
	// Two copies of one header: they differ while it is being written.
	if !bytes.Equal(head[:48], head[48:96]) || head[12] != 1 || binary.NativeEndian.Uint32(head) != 3007000 {
		return x, nil
	}
	x.there, x.frames, x.folded = true, binary.NativeEndian.Uint32(head[16:]), binary.NativeEndian.Uint32(head[96:])
	copy(x.salt[:], head[32:])
	return x, nil
}

func ignoreShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// logSeen is what can be read of a log.
type logSeen struct {
	whole  uint32 // pages up to the last commit that can be read
	broken uint32 // the first page of this log whose sum is wrong, from 1; 0: none
	behind uint32 // pages of this log up to the last commit that stands behind it
	salt   [8]byte
}

func scanLog(path string) (seen logSeen, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, logHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return seen, ignoreShort(err)
	}
	copy(seen.salt[:], head[16:])
	size := binary.BigEndian.Uint32(head[8:])
	magic := binary.BigEndian.Uint32(head)
	if magic&^1 != 0x377f0682 || size < 512 || size > 65536 {
		return logSeen{}, nil // what was in it, the index may know
	}
	sum := logSum{order: binary.LittleEndian}
	if magic&1 == 1 {
		sum.order = binary.BigEndian
	}
	if sum.add(head[:24]); !sum.is(head[24:]) {
		return logSeen{}, nil
	}
	frame := make([]byte, frameHeader+int(size))
	for n := uint32(1); ; n++ {
		if _, err := io.ReadFull(f, frame); err != nil {
			return seen, ignoreShort(err)
		}
		if !bytes.Equal(frame[8:16], seen.salt[:]) {
			if seen.broken == 0 {
				seen.broken = n // it may be of an older log; then nothing of this one is behind it
			}
			continue
		}
		if seen.broken == 0 {
			sum.add(frame[:8])
			if sum.add(frame[frameHeader:]); !sum.is(frame[16:]) {
				seen.broken = n
			}
		}
		switch commit := binary.BigEndian.Uint32(frame[4:]) > 0; {
		case commit && seen.broken == 0:
			seen.whole = n
		case commit && n > seen.broken:
			seen.behind = n - seen.broken
		}
	}
}

// logSum is the running sum.
type logSum struct {
	order  binary.ByteOrder
	s1, s2 uint32
}

func (s *logSum) add(data []byte) {
	for ; len(data) >= 8; data = data[8:] {
		s.s1 += s.order.Uint32(data) + s.s2
		s.s2 += s.order.Uint32(data[4:]) + s.s1
	}
}

func (s *logSum) is(stored []byte) bool {
	return binary.BigEndian.Uint32(stored) == s.s1 && binary.BigEndian.Uint32(stored[4:]) == s.s2
}
