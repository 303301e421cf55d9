package turn

import "github.com/meerkat-go/meerkat/machine/fsm"

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "turn",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Start, From: rest, When: []guard{runIsNamed}, To: ApplyingPrimitive, Do: reset},                                          // T1
		{On: StartImmediate, From: rest, When: []guard{runIsNamed}, To: ApplyingPrimitive, Do: immediate},                             // T2
		{On: PrimitiveApplied, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel}, // T3
		{On: PrimitiveApplied, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent, addsOnly}, To: Completed},                // T4
		{On: PrimitiveApplied, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent}, To: CallingLlm, Do: calling},            // T5

		{On: ReturnedCalls, From: replies, When: []guard{runIsCurrent, answerIsOut, someCalls}, To: WaitingForOps, Do: answered}, // T6
		{On: ReturnedFinal, From: replies, When: []guard{runIsCurrent, answerIsOut}, To: DrainingBoundary, // T7
			Do: func(s State, e Event) State { e.N, e.Spared = 0, 0; return answered(s, e) }},
		{On: RecoverableFailure, From: outputs, When: []guard{runIsCurrent, attemptIsThis, cancelAsked, answerIsIn}, To: Completed, Do: tried}, // T8
		{On: RecoverableFailure, From: replies, When: []guard{runIsCurrent, attemptIsThis, cancelAsked}, To: Cancelled, Do: cancel},            // T9
		{On: RecoverableFailure, From: []Phase{CallingLlm, Extracting, ErrorRecovery}, When: []guard{runIsCurrent, attemptIsThis, attemptsLeft}, // T10
			To: ErrorRecovery, Do: func(s State, _ Event) State { s.Attempt, s.Resumes = s.Attempt+1, 0; return s }},

		{On: CallSettled, From: []Phase{WaitingForOps}, When: []guard{runIsCurrent, callsOpen}, Stay: true, // T11
			Do: func(s State, _ Event) State { s.Pending, s.Resumes = s.Pending-1, 0; return s }},
		{On: CallsResolved, From: []Phase{WaitingForOps}, When: []guard{runIsCurrent, noCallsOpen}, To: DrainingBoundary}, // T12

		{On: BoundaryContinue, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel}, // T13
		{On: BoundaryContinue, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: CallingLlm, Do: calling},            // T14
		{On: BoundaryComplete, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel}, // T15
		{On: BoundaryComplete, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: Completed},                          // T16

		{On: EnterExtraction, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel}, // T17
		{On: EnterExtraction, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: Extracting, // T18
			Do: func(s State, e Event) State { s.Answered, s.MaxTries, s.Attempt = true, e.Tries, 1; return s }},
		{On: ExtractionReplied, From: outputs, When: []guard{runIsCurrent, answerIsIn, outputFits}, To: Completed, // T19
			Do: func(s State, e Event) State { s.Output = true; return tried(s, e) }},
		{On: ExtractionReplied, From: outputs, When: []guard{runIsCurrent, outputMisfits, triesLeft, goesOn}, To: Extracting, // T20
			Do: func(s State, e Event) State { return calling(tried(s, e), e) }},
		{On: ExtractionReplied, From: outputs, When: []guard{runIsCurrent, answerIsIn}, To: Completed, Do: tried}, // T21

		{On: FatalFailure, From: outputs, When: []guard{runIsCurrent, answerIsIn}, To: Completed, Do: tried},                            // T22
		{On: FatalFailure, From: active, When: []guard{runIsCurrent, causeIsKnown}, To: Failed, Do: fail},                               // T23
		{On: TurnLimitReached, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: stopped},   // T24
		{On: TurnLimitReached, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: Failed, Do: because(CauseTurnLimit)},   // T25
		{On: BudgetExhausted, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent}, To: Failed, Do: because(CauseBudget)},      // T26
		{On: BudgetExhausted, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: stopped},    // T27
		{On: BudgetExhausted, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: Completed, Do: because(CauseBudget)},    // T28
		{On: BudgetExhausted, From: []Phase{Extracting}, When: []guard{runIsCurrent, goesOn}, To: Completed},                            // T29
		{On: TimeBudgetExceeded, From: outputs, When: []guard{runIsCurrent, answerIsIn}, To: Completed, Do: cut},                        // T30
		{On: TimeBudgetExceeded, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: stopped}, // T31
		{On: TimeBudgetExceeded, From: active, When: []guard{runIsCurrent}, To: Failed, Do: because(CauseTime)},                         // T32

		{On: CancelAfterBoundary, From: []Phase{ErrorRecovery}, When: []guard{runIsCurrent, answerIsIn}, To: Completed}, // T33
		{On: CancelAfterBoundary, From: []Phase{ErrorRecovery}, When: []guard{runIsCurrent}, To: Cancelled, Do: cancel}, // T34
		{On: CancelAfterBoundary, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, DrainingBoundary, Extracting}, // T35
			When: []guard{runIsCurrent}, Stay: true, Do: func(s State, _ Event) State { s.Cancel = true; return s }},
		{On: CancelNow, From: outputs, When: []guard{runIsCurrent, answerIsIn}, To: Completed, Do: cut}, // T36
		{On: CancelNow, From: active, When: []guard{runIsCurrent}, To: Cancelled, Do: cancel},           // T37

		{On: RunReported, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent, asksMore, cancelAsked}, To: Cancelled, Do: cancel}, // T38
		{On: RunReported, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent, asksMore}, To: Completed, Do: reported},            // T39
		{On: ExecutorLost, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery, Extracting}, // T40
			When: []guard{runIsCurrent, resumesLeft}, Stay: true, Do: func(s State, _ Event) State { s.Resumes++; return s }},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Start, From: busy, Why: "a run is under way"},
		{On: StartImmediate, From: busy, Why: "a run is under way"},
		{On: PrimitiveApplied, From: []Phase{CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery, Extracting}, Why: "already applied"},
		{On: PrimitiveApplied, From: rest, Why: "no run"},
		{On: ReturnedCalls, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary, Extracting}, Why: "no reply is outstanding"},
		{On: ReturnedCalls, From: rest, Why: "no run"},
		{On: ReturnedFinal, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary, Extracting}, Why: "no reply is outstanding"},
		{On: ReturnedFinal, From: rest, Why: "no run"},
		{On: RecoverableFailure, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary}, Why: "no reply is outstanding"},
		{On: RecoverableFailure, From: rest, Why: "no run"},
		{On: CallSettled, From: []Phase{ApplyingPrimitive, CallingLlm, DrainingBoundary, ErrorRecovery, Extracting}, Why: "no call is outstanding"},
		{On: CallSettled, From: rest, Why: "no run"},
		{On: CallsResolved, From: []Phase{ApplyingPrimitive, CallingLlm, DrainingBoundary, ErrorRecovery, Extracting}, Why: "no call is outstanding"},
		{On: CallsResolved, From: rest, Why: "no run"},
		{On: BoundaryContinue, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery, Extracting}, Why: "not at a boundary"},
		{On: BoundaryContinue, From: rest, Why: "no run"},
		{On: BoundaryComplete, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery, Extracting}, Why: "not at a boundary"},
		{On: BoundaryComplete, From: rest, Why: "no run"},
		{On: EnterExtraction, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery}, Why: "not at a boundary"},
		{On: EnterExtraction, From: []Phase{Extracting}, Why: "an output is outstanding already"},
		{On: EnterExtraction, From: rest, Why: "no run"},
		{On: ExtractionReplied, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, DrainingBoundary}, Why: "no output is outstanding"},
		{On: ExtractionReplied, From: rest, Why: "no run"},
		{On: FatalFailure, From: rest, Why: "no run"},
		{On: TurnLimitReached, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery, Extracting}, Why: "not at a boundary"},
		{On: TurnLimitReached, From: rest, Why: "no run"},
		{On: BudgetExhausted, From: []Phase{CallingLlm, WaitingForOps, ErrorRecovery}, Why: "not at a boundary"},
		{On: BudgetExhausted, From: rest, Why: "no run"},
		{On: TimeBudgetExceeded, From: rest, Why: "no run"},
		{On: CancelAfterBoundary, From: rest, Why: "no run"},
		{On: CancelNow, From: rest, Why: "no run"},
		{On: RunReported, From: []Phase{CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery, Extracting}, Why: "the run is carried out step by step"},
		{On: RunReported, From: rest, Why: "no run"},
		{On: ExecutorLost, From: []Phase{DrainingBoundary}, Why: "never at rest here"},
		{On: ExecutorLost, From: rest, Why: "no run"},
	},
})
