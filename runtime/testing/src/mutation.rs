//! Mistakes that can be planted in the simulated parts, to show that the checkers of `greenroom-sim` find them.

/// A mistake planted in the simulation's own parts, to show that the checkers find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The journal reports a group as durable before it is.
    DurableTooEarly,
    /// An actor is loaded without the calls it has applied.
    LoadForgetsCalls,
    /// An actor is loaded as it was one commit before.
    LoadIsOld,
    /// A crash takes synced records too.
    SyncLies,
    /// A crash leaves a later record and loses an earlier one.
    TailHasHoles,
    /// The register writes without comparing the version.
    RegisterForgetsConflicts,
    /// A restart does not raise the incarnation.
    SameIncarnation,
    /// From some restart on, each start finds the volume as it was long ago.
    VolumeSetBack,
    /// A node is started again while its earlier run goes on with the same store.
    TwoRunsOnOneStore,
    /// A client repeats an unanswered call with another id.
    RepeatsWithAnotherId,
    /// The network says that a request never left, although it was carried out.
    LostCountsAsNotSent,
    /// The network gives the answer of an earlier call of the same method.
    AnswersOfOthers,
    /// Turns of programs: what a failed turn changed stays in memory.
    RollbackIsLost,
    /// Turns of programs: what a failed turn told is sent.
    FailedTurnTells,
    /// A crash keeps the rows of the first commit that it loses of each shard, and loses its state.
    CommitIsTorn,
    /// What waits in an outbox when its shard is opened is not found: as if it had been removed when it was sent.
    OutboxForgets,
    /// A reminder changes in a record of its own, before that of its turn.
    TickMovesFirst,
    /// Turns of programs: what came in to a lent state and was answered is not in it.
    VisitIsLost,
    /// Turns of programs: a tick at a fixed rate brings another one at once.
    TicksPileUp,
    /// Turns of programs: who gets a broadcast gets it again.
    NewsComesTwice,
    /// Turns of programs: a stateless worker makes its call twice.
    PorterCallsTwice,
    /// A message that is given up is no dead letter: it is gone.
    LettersAreLost,
    /// Turns of programs: who has the lowest priority hears first.
    PriorityIsIgnored,
    /// Turns of programs: who consumes a publication says that it has not.
    ConsumedIsPassedOn,
    /// Turns of programs: who listens while it is in memory hears twice.
    OverheardTwice,
    /// Turns of programs: what a new version of a type reads of the version before is empty.
    MigrationIsLost,
    /// Turns of programs: a broadcast reaches nobody.
    NewsAreLost,
    /// Turns of programs: who listens while it is in memory is not known to the channel.
    SessionIsForgotten,
    /// Turns of programs: a local actor has what the one of another node has.
    LocalsAreShared,
}

impl Mutation {
    /// Those that the simulation of ledgers finds.
    pub const ALL: [Self; 12] = [
        Self::DurableTooEarly,
        Self::LoadForgetsCalls,
        Self::LoadIsOld,
        Self::SyncLies,
        Self::TailHasHoles,
        Self::RegisterForgetsConflicts,
        Self::SameIncarnation,
        Self::VolumeSetBack,
        Self::TwoRunsOnOneStore,
        Self::RepeatsWithAnotherId,
        Self::LostCountsAsNotSent,
        Self::AnswersOfOthers,
    ];

    /// Those that the simulation of programs finds.
    pub const OF_PROGRAMS: [Self; 20] = [
        Self::DurableTooEarly,
        Self::LoadForgetsCalls,
        Self::LoadIsOld,
        Self::RollbackIsLost,
        Self::FailedTurnTells,
        Self::CommitIsTorn,
        Self::OutboxForgets,
        Self::TickMovesFirst,
        Self::VisitIsLost,
        Self::TicksPileUp,
        Self::NewsComesTwice,
        Self::PorterCallsTwice,
        Self::LettersAreLost,
        Self::PriorityIsIgnored,
        Self::ConsumedIsPassedOn,
        Self::OverheardTwice,
        Self::MigrationIsLost,
        Self::NewsAreLost,
        Self::SessionIsForgotten,
        Self::LocalsAreShared,
    ];
}
