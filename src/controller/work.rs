//! The work on one user or role: observe, plan, apply.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::apply::apply;
use super::cluster::kind::Kind;
use super::context::Context;
use super::history::History;
use super::observe::{Whose, is_to_be_read, observe, suspect_sources};
use super::pass::Stop;
use super::report::add_finalizer;
use super::resolve::{held_back, place};
use super::state::observation::Observation;
use crate::api::Reason;
use crate::api::conditions::Class;
use crate::aws::{Account, Permit};
use crate::core::absence::{self, Thing, look_again};
use crate::core::attachable::{check_tags, coming_on, is_marked};
use crate::core::desired::Desired;
use crate::core::failure::{Effect, Failure};
use crate::core::names::Arn;
use crate::core::observed::{Observed, Scope};
use crate::core::outcome::Problem;
use crate::core::placement::ResolvedAccount;
use crate::core::plan::{Plan, is_own, plan};
use crate::core::possible::{Intended, announced_by};
use crate::core::refused::Declaration;
use crate::core::step::{Progress, Situation, Sources, Step, step, unreported};
use crate::core::subject::Subject;
use crate::core::unmanaged::{is_restricting, unread};
use crate::core::wanted::Restraint;
use crate::core::world::{ObjectKey, Ref, uid};

/// How long a resource waits for the sweep that is to wake it before it looks again.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);

/// How often a withdrawal is tried where IAM does not know somebody, the last time without anybody who is new to the trust policy.
const UNKNOWN_ONE_BY_ONE: usize = 4;

/// How many of the permissions that a refusal holds up are told by name.
const WITHHELD: usize = 3;

/// Why a role is not to be made yet.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    /// It has nobody to trust.
    Nobody,
    /// Somebody is about to be there, and is waited for so much longer.
    Patience(Duration),
}

/// The plan for what is wanted. There is none where the object is somebody else's, of whom nothing is withdrawn.
fn plan_of(desired: Option<Desired>, observed: &Observed) -> Plan {
    desired.and_then(|desired| plan(&desired, observed).ok()).unwrap_or_default()
}

/// How the plan was refused beside which withdrawn grants end.
#[derive(Clone, Copy, PartialEq)]
enum Refused {
    /// IAM may only be slow to show somebody whom it names.
    ForNow,
    /// For another reason.
    Otherwise,
    /// There is no plan.
    Unplanned,
}

/// Observing, planning and applying for one identity.
pub(super) struct Work<'a, K> {
    pub(super) object: K,
    /// Why it is cut off, if it is.
    pub(super) cut_off: Option<Problem>,
    /// What is known of AWS; None where it is not known.
    pub(super) observation: Option<Observation>,
    pub(super) account: &'a Account,
    /// The right to work in the account, from when there is work.
    pub(super) permit: Option<Permit>,
    pub(super) desired: &'a Desired,
    pub(super) context: &'a Context,
    pub(super) at: &'a ResolvedAccount,
    pub(super) history: History<'a>,
    /// Why it is not to be made yet, if so.
    pub(super) waits: Option<Wait>,
    /// What was done, for people.
    pub(super) done: Vec<String>,
    /// Whether the last plan came to its first call. What was refused before that has tried nothing.
    pub(super) has_tried: bool,
}

impl<K: Kind + Subject> Work<'_, K> {
    /// The resource that it is for.
    pub(super) fn of(&self) -> Ref {
        K::reference(ObjectKey::of(&self.object))
    }

    /// Asks for one step after the other and does each.
    pub(super) async fn run(&mut self) -> Result<(), Stop> {
        self.observation = self.observation.take().filter(|seen| self.is_of_use(seen));
        let mut situation = self.situation();
        let mut progress = Progress::default();
        // A process that died may have made what is taken to be absent.
        let mut may_be_there = false;
        let mut has_looked_again = false;
        loop {
            let step = step(self.desired, self.observation.as_ref().map(Observation::known), &situation, &progress);
            if !matches!(step, Step::Done | Step::AssumeAbsent | Step::AwaitSweep) {
                self.take_permit()?;
            }
            let ended = match step {
                Step::Done => return Ok(()),
                Step::AssumeAbsent => {
                    may_be_there = self.object.is_finalized() && self.history.may_have_made();
                    self.observation = Some(self.seen(Observed::default()));
                    continue;
                }
                Step::AwaitSweep => {
                    if self.context.ask_for_sweep(self.at) {
                        return Err(Stop::Busy(SWEEP_PATIENCE));
                    }
                    progress.has_asked_for_sweep = true;
                    // The sweep may have come through while this pass went into the account.
                    self.observation = self.known().filter(|seen| self.is_of_use(seen));
                    continue;
                }
                Step::Read => {
                    self.read().await?;
                    (situation.doubt, progress.has_read) = (self.doubt(), true);
                    continue;
                }
                Step::LookAgain => {
                    // Nothing of it is told or remembered: what the status has stays.
                    self.observation = None;
                    let message = absence::told(&[Thing::Identity], &self.desired.identity.name);
                    return Err(Failure { retry_after: Some(look_again(situation.doubt)), ..Failure::refused(Reason::Propagating, message) }.into());
                }
                Step::ReportLost => return Err(Stop::Lost),
                Step::Wait => return Err(Stop::NotYet),
                Step::Plan => {
                    let planned = self.observation.as_ref().map_or_else(|| Ok(Plan::default()), |seen| plan(self.desired, &seen.observed));
                    progress.unreported = planned.as_ref().map(|plan| self.unreported(plan)).unwrap_or_default();
                    progress.unread = planned.as_ref().map(|plan| self.unread(plan)).unwrap_or_default();
                    progress.planned = Some(planned);
                    continue;
                }
                Step::ReadAttached(policies) => match self.read_attached(policies).await {
                    Ok(()) => {
                        progress.planned = None;
                        progress.unread.clear();
                        continue;
                    }
                    Err(failure) => self.withdraw_beside(failure.into()).await,
                },
                Step::CheckSources => {
                    progress.sources = Some(self.check_sources(progress.planned.as_ref().is_some_and(Result::is_err))?);
                    continue;
                }
                Step::ReportReplaced => return Err(Stop::TellFirst),
                Step::ReportIntended(untold) => return Err(Stop::Intends(untold.clone())),
                Step::Apply(plan) => self.bring_about(plan).await,
                Step::Withdraw(problems) => self.only_withdraw(problems).await,
            };
            let Err(stop) = ended else { return Ok(()) };
            // What exists although it was to be made is read, once. What cannot be made does not find out whether it exists.
            if has_looked_again {
                return Err(if stop.is_taken() { self.unseen(stop) } else { stop });
            }
            let is_worth_a_read = stop.is_taken() || (may_be_there && matches!(stop, Stop::Problems(_)));
            if !is_worth_a_read {
                return Err(stop);
            }
            self.read().await?;
            has_looked_again = true;
            (situation.doubt, situation.is_finalized) = (self.doubt(), self.object.is_finalized());
            progress = Progress { has_read: true, ..Progress::default() };
        }
    }

    /// How things stand with the resource, before anything is done.
    fn situation(&self) -> Situation {
        let (of, pinned) = (self.of(), self.desired.pinned.as_ref());
        let seen = self.observation.as_ref();
        // Of what is disputed nothing is remembered, so if anything is, another process has found that; and another one has made what is remembered not to be
        // there.
        let is_disputed = |seen: &Observation| {
            self.object.says(&[Reason::Conflict, Reason::IdentityChanged]) || (pinned.is_some() && seen.observed.identity.is_none())
        };
        // Where somebody else had its name, its policies would be made in vain.
        let is_taken = self.object.says(&[Reason::Conflict]) || self.context.memory.waits_for_passing(&of);
        Situation {
            must_be_read: is_to_be_read(self.context, &of, pinned, seen) || seen.is_some_and(is_disputed),
            is_reported: self.object.pinned().is_some(),
            is_never_made: self.object.reported_arn().is_none() && pinned.is_none() && !is_taken,
            is_finalized: self.object.is_finalized(),
            waits: self.waits.is_some(),
            doubt: self.doubt(),
        }
    }

    /// How much longer it proves nothing that its user or role is not shown. What was found to be another one was certain then.
    fn doubt(&self) -> Duration {
        if self.object.says(&[Reason::IdentityChanged]) { Duration::ZERO } else { self.history.doubt(&Thing::Identity) }
    }

    fn take_permit(&mut self) -> Result<(), Stop> {
        if self.permit.is_none() {
            self.permit = Some(self.account.try_permit(&self.of()).map_err(Stop::Busy)?);
        }
        Ok(())
    }

    /// What exists and is not to be seen is mostly what we have just made, read from where IAM does not show it yet.
    fn unseen(&self, stop: Stop) -> Stop {
        let of = self.of();
        let may_be_ours = || self.history.is_recent() || self.context.retries.note_refusal(&of, Instant::now());
        match stop {
            Stop::Failures(failures, problems) if may_be_ours() => {
                let softened = |failure: Failure| match failure.effect {
                    Effect::AlreadyExists => Failure { reason: Reason::Propagating, ..failure },
                    _ => failure,
                };
                Stop::Failures(failures.into_iter().map(softened).collect(), problems)
            }
            stop => stop,
        }
    }

    /// What a plan makes and the object does not tell of yet.
    fn unreported(&self, plan: &Plan) -> Intended {
        let announced = announced_by(&self.object, self.at, &self.desired.identity.path);
        let told = self.object.reported_policies().into_iter().chain(announced).collect();
        unreported(self.desired, plan, &told, self.object.reported_boundary().is_some())
    }

    /// Finds out whether those whom a role trusts, or is to trust, are still who they were.
    fn check_sources(&mut self, is_without_plan: bool) -> Result<Sources, Stop> {
        let Some(seen) = &self.observation else { return Ok(Sources::Same) };
        // Whom somebody else's role trusts is no matter of this resource's, and nothing of it may come into the status.
        let is_own = is_own(self.desired, &seen.observed);
        // Where there is no plan nobody is added, so nobody need be read for that.
        let less = if is_without_plan { self.less(&seen.observed, false) } else { None };
        let of = self.of();
        if is_own && suspect_sources(self.context, &of, less.as_ref().unwrap_or(self.desired), &seen.observed) {
            return Err(Stop::Suspense);
        }
        let are_gone = is_own && self.desired.is_newly_replaced(&seen.observed);
        if self.context.memory.record_replaced(&of, are_gone, Instant::now()) {
            // Nothing of it is told or remembered: that principals are gone would stay in the status.
            self.observation = None;
            return Err(Stop::Suspense);
        }
        Ok(if are_gone { Sources::Replaced } else { Sources::Same })
    }

    /// Makes sure that no policy comes on that is somebody else's: of those that nobody declares the tags tell whose they are, and are read.
    async fn check_coming_on(&self, plan: &Plan) -> Result<(), Failure> {
        let Desired { identity, policies, owner, .. } = self.desired;
        let (unowned, now) = (&self.context.unowned, Instant::now());
        let coming = coming_on(&self.at.id, identity, policies, &plan.actions).into_iter().filter(|policy| !unowned.has(policy, now));
        let scope = Scope { name: None, policies: coming.cloned().collect(), groups: false, pinned: None };
        if scope.policies.is_empty() {
            return Ok(());
        }
        let read = self.account.gateway().observe(&scope).await?;
        for (policy, found) in read.policies {
            if let Some(problem) = check_tags(owner, &found) {
                return Err(Failure::refused(problem.reason, problem.message));
            }
            if !is_marked(&found) {
                unowned.note(policy, now);
            }
        }
        Ok(())
    }

    /// The policies of others that a plan detaches and of which nobody knows what they do.
    fn unread(&self, plan: &Plan) -> BTreeSet<Arn> {
        self.observation.as_ref().map(|seen| unread(self.desired, &seen.observed, &plan.actions)).unwrap_or_default()
    }

    /// Reads what attached policies of others do. Of AWS's own nobody asks whose they are.
    async fn read_attached(&mut self, policies: &BTreeSet<Arn>) -> Result<(), Failure> {
        self.has_tried = false;
        let gateway = self.account.gateway();
        let (own, of_aws): (BTreeSet<Arn>, BTreeSet<Arn>) = policies.iter().cloned().partition(|arn| arn.account_id().is_some());
        let mut read: BTreeMap<Arn, bool> = BTreeMap::new();
        for arn in of_aws {
            let denies = gateway.policy_document(&arn).await?.is_some_and(|document| document.all_statements_deny());
            read.insert(arn, denies);
        }
        if !own.is_empty() {
            let found = gateway.observe(&Scope { name: None, policies: own.clone(), groups: false, pinned: None }).await?.policies;
            if let Some(hidden) = own.iter().find(|arn| !found.contains_key(*arn)) {
                let message = format!("policy {hidden} is attached, and IAM does not show it yet: looked at again");
                return Err(Failure::refused(Reason::Propagating, message));
            }
            read.extend(found.into_iter().map(|(arn, found)| (arn, is_restricting(&found))));
        }
        self.observation.iter_mut().for_each(|seen| seen.observed.restricting.extend(read.clone()));
        Ok(())
    }

    /// Carries the plan out. Where AWS refuses a part of it, withdrawn grants end all the same.
    async fn bring_about(&mut self, plan: &Plan) -> Result<(), Stop> {
        match self.carry_out(plan).await {
            Err(stop) => self.withdraw_beside(stop).await,
            done => done,
        }
    }

    /// Ends withdrawn grants where AWS has refused something: what IAM refuses is mostly an addition, which no withdrawn grant waits for.
    async fn withdraw_beside(&mut self, stop: Stop) -> Result<(), Stop> {
        if !stop.is_refusal() {
            return Err(stop);
        }
        let withdrawn = match stop.is_propagation() {
            true if self.context.retries.note_refusal(&self.of(), Instant::now()) => self.withdraw_revoked(Refused::ForNow).await,
            true => self.withdraw_without_unknown(stop.told()).await,
            false => self.withdraw_revoked(Refused::Otherwise).await,
        };
        let stop = self.with_what_stays(stop);
        Err(match withdrawn {
            Ok(()) => stop,
            Err(other) => stop.and(other),
        })
    }

    /// Ends withdrawn grants where there is no plan, and tells why there is none.
    async fn only_withdraw(&mut self, problems: &[Problem]) -> Result<(), Stop> {
        let mut withdrawn = self.withdraw_revoked(Refused::Unplanned).await;
        if withdrawn.as_ref().is_err_and(Stop::is_refusal) {
            // What is withdrawn does not wait for a boundary that cannot be put on.
            withdrawn = self.withdraw_revoked(Refused::Otherwise).await.and(withdrawn);
        }
        if let Err(stop) = withdrawn {
            return Err(stop.and(Stop::Problems(problems.to_vec())));
        }
        // Nothing is refused for good by quotas that nobody asked AWS for.
        let only_quotas = self.done.is_empty() && problems.iter().all(|problem| problem.reason == Reason::QuotaExceeded);
        let awaited = only_quotas && self.context.ask_for_quotas(self.at);
        Err(if awaited { Stop::Busy(SWEEP_PATIENCE) } else { Stop::Problems(problems.to_vec()) })
    }

    /// What is wanted where nothing is added: that withdrawn grants end, and that it is cut off, if it is. `is_bounded` tells whether the boundary of its account
    /// comes on, too.
    fn less(&self, observed: &Observed, is_bounded: bool) -> Option<Desired> {
        let restraint = Restraint { is_bounded, cut_off: self.cut_off.clone() };
        held_back(&self.object, self.context, self.at, &self.history, restraint, observed)
    }

    /// Tells with a refusal that takes a person which permissions stay until then: they go only after what takes their place has come.
    fn with_what_stays(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Failures(failures, problems) => Stop::Failures(failures.into_iter().map(|failure| self.held_up_by(failure)).collect(), problems),
            stop => stop,
        }
    }

    fn held_up_by(&self, failure: Failure) -> Failure {
        let left = self.observation.as_ref().and_then(|seen| plan(self.desired, &seen.observed).ok());
        let stays: Vec<String> = left.iter().flat_map(|plan| &plan.actions).filter(|action| action.withdraws()).map(ToString::to_string).collect();
        if failure.reason.class() != Class::Stalled || stays.is_empty() {
            return failure;
        }
        let more = if stays.len() > WITHHELD { format!(" and {} more", stays.len() - WITHHELD) } else { String::new() };
        let stays = stays.into_iter().take(WITHHELD).collect::<Vec<_>>().join(", ");
        Failure { message: format!("{}. Held up by this: {stays}{more}", failure.message.trim_end_matches('.')), ..failure }
    }

    /// Takes away what is withdrawn, and adds nothing. What comes first in the whole plan was tried just now, and is not tried again at once.
    /// Nor is anything, where it is refused only for now, which keeps somebody from coming in by name who comes in as one of many until then.
    async fn withdraw_revoked(&mut self, refused: Refused) -> Result<(), Stop> {
        let Some(observed) = self.observation.as_ref().map(|seen| &seen.observed) else { return Ok(()) };
        let less = self.less(observed, refused == Refused::Unplanned);
        if refused == Refused::ForNow && less.as_ref().is_some_and(|less| less.shuts_out(self.desired, observed)) {
            return Ok(());
        }
        let less = plan_of(less, observed);
        let whole = plan(self.desired, observed).unwrap_or_default();
        if self.has_tried && less.actions.first() == whole.actions.first() { Ok(()) } else { self.carry_out(&less).await }
    }

    /// Takes away what is withdrawn where IAM goes on refusing somebody whom the trust policy is to name: whose name nobody bears would keep in all those who
    /// come in beside. Others are named as long as IAM tells by whom it stumbles.
    async fn withdraw_without_unknown(&mut self, mut refusal: String) -> Result<(), Stop> {
        let mut tries = 1;
        loop {
            let Some(observed) = self.observation.as_ref().map(|seen| &seen.observed) else { return Ok(()) };
            let less = plan_of(self.less(observed, false).map(|less| less.without_unknown(observed, &refusal)), observed);
            match self.carry_out(&less).await {
                Err(stop) if stop.is_propagation() && tries < UNKNOWN_ONE_BY_ONE => {
                    tries += 1;
                    refusal = if tries == UNKNOWN_ONE_BY_ONE { String::new() } else { refusal + &stop.told() };
                }
                result => return result,
            }
        }
    }

    async fn carry_out(&mut self, plan: &Plan) -> Result<(), Stop> {
        self.has_tried = false;
        if plan.actions.is_empty() {
            return Ok(());
        }
        self.check_coming_on(plan).await?;
        if self.object.is_finalized() {
            // What is put on where there is no plan was not told of yet.
            let boundary = self.unreported(plan).boundary;
            if boundary.is_some() {
                return Err(Stop::Intends(Intended { boundary, ..Intended::default() }));
            }
        } else {
            let announcement = self.unreported(plan).announcement();
            self.object = add_finalizer(self.context, &self.object, &announcement).await?;
            if self.object.reported_arn().is_none() {
                self.history.begin();
            }
            // The account holds out for what carries the finalizer; before that it may have gone.
            if let Err(problem) = place(&self.object, self.context) {
                return Err(Stop::Problems(vec![problem]));
            }
        }
        let Some(seen) = &mut self.observation else { return Ok(()) };
        // The status may not come to tell it before something else is declared.
        self.history.note_ours(self.desired.ours_during(&plan.actions));
        let before = seen.observed.identity.as_ref().map(|found| found.id.clone());
        let declaration = Declaration { permissions: self.object.permissions(), imposed: self.desired.imposed.clone() };
        self.has_tried = true;
        let result = apply(self.account.gateway(), &self.desired.owner, plan, &mut seen.observed, &self.history, &declaration).await;
        if result.is_ok() {
            self.done.extend(plan.actions.iter().map(ToString::to_string));
        }
        let now = Instant::now();
        seen.carried_out(before.as_ref(), self.desired.principal_ids(), now);
        self.context.memory.wrote(&self.of(), now);
        match result {
            Ok(unproven) => unproven.first().map_or(Ok(()), |action| {
                let message = format!("cannot {action}: IAM says that there is none, and may only not show yet what was just made: looked at again");
                Err(Failure::refused(Reason::Propagating, message).into())
            }),
            Err(failure) => {
                if failure.effect == Effect::Unknown {
                    self.observation = None;
                }
                Err(failure.into())
            }
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let mut scope = self.desired.scope();
        // What turned out to exist when it was to be made: an assume policy of which nothing was known.
        if let Some(Ok(wanted)) = self.observation.take().map(|seen| self.desired.wanted(&seen.observed)) {
            scope.policies.extend(wanted.policies.into_keys());
        }
        let whose = Whose { of: &self.of(), owner: &self.desired.owner, history: &self.history };
        let observed = observe(self.context, self.account.gateway(), &scope, whose).await?;
        self.observation = Some(self.seen(observed));
        Ok(())
    }

    /// Whether what is remembered shows all that is asked, and not somebody whom another process has found to be deleted.
    fn is_of_use(&self, seen: &Observation) -> bool {
        let found = seen.observed.identity.as_ref().map(|found| &found.id);
        self.desired.is_shown_by(&seen.observed) && found.is_none_or(|id| self.object.deleted().as_ref() != Some(id))
    }

    fn known(&self) -> Option<Observation> {
        let of = self.of();
        self.context.observation(&of, self.at, &uid(&self.object), &self.desired.arn, &self.desired.principal_ids())
    }

    fn seen(&self, observed: Observed) -> Observation {
        Observation::now(uid(&self.object), self.desired.arn.clone(), observed, self.desired.principal_ids())
    }
}
