//! What a pass over a user or role does next: the one place where that is decided. The pass does it, notes what came of it, and asks again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::absence::{Sight, sight};
use super::action::Action;
use super::desired::Desired;
use super::listed::LISTED;
use super::names::Arn;
use super::observed::Observed;
use super::outcome::Problem;
use super::plan::{Plan, is_own, is_settled};
use super::possible::Intended;

/// What is known of what a resource has in AWS.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What there was.
    pub observed: &'a Observed,
    /// What that is good for.
    pub sureness: Sureness,
}

/// What it is good for that something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// It tells only what there was.
    Doubtful,
    /// It tells that there is nothing to do, where that is what it shows.
    Believed,
    /// It was read or made just now: it is the ground for a write.
    Ground,
}

/// How things stand with a resource.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// Whether it is to be read directly, whatever is known of it.
    pub must_be_read: bool,
    /// Whether its status tells of what was made for it.
    pub is_reported: bool,
    /// Whether nothing was ever made for it, as far as anybody knows.
    pub is_never_made: bool,
    /// Whether it carries the finalizer, which comes before the first write.
    pub is_finalized: bool,
    /// Whether it is not to be made yet.
    pub waits: bool,
    /// How much longer it proves nothing that its user or role is not shown.
    pub doubt: Duration,
}

/// How far a pass has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Whether the first sweep of the account was asked for.
    pub has_asked_for_sweep: bool,
    /// Whether it was read directly in this pass.
    pub has_read: bool,
    /// The plan from what is known, or what keeps it from being made.
    pub planned: Option<Result<Plan, Vec<Problem>>>,
    /// What the plan makes, and the object does not tell of yet.
    pub unreported: Intended,
    /// The policies of others that the plan detaches and of which nobody knows what they do.
    pub unread: BTreeSet<Arn>,
    /// What is known of those whom the role trusts, or is to trust.
    pub sources: Option<Sources>,
}

/// What is known of those whom a role trusts, or is to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// They are who they were.
    Same,
    /// Others have taken the place of some, of which the status does not tell yet.
    Replaced,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    /// Nothing: AWS is as declared.
    Done,
    /// It is taken not to be there. Creating it finds out, and usually nothing has to be read.
    AssumeAbsent,
    /// An earlier process made it: one sweep shows all of these at once.
    AwaitSweep,
    /// Read it directly.
    Read,
    /// It is not shown, which proves nothing yet: look again.
    LookAgain,
    /// Tell that somebody else has deleted it, before it is made anew.
    ReportLost,
    /// Wait: it is not to be made yet.
    Wait,
    /// Plan.
    Plan,
    /// Read what these policies of others do, before any of them is detached.
    ReadAttached(&'a BTreeSet<Arn>),
    /// Find out whether those whom it trusts are still who they were.
    CheckSources,
    /// Tell who was replaced, before the trust policy changes: nothing else shows it.
    ReportReplaced,
    /// Tell of this before it is made.
    ReportIntended(&'a Intended),
    /// Carry the plan out.
    Apply(&'a Plan),
    /// There is no plan. Take away what is withdrawn, and tell these problems.
    Withdraw(&'a [Problem]),
}

/// The next step of a pass over a user or role.
pub fn step<'a>(desired: &Desired, known: Option<Known<'_>>, situation: &Situation, progress: &'a Progress) -> Step<'a> {
    let Some(Known { observed, sureness }) = known else {
        return match situation {
            Situation { is_never_made: true, waits: false, .. } => Step::AssumeAbsent,
            Situation { is_reported: true, must_be_read: false, .. } if !progress.has_asked_for_sweep => Step::AwaitSweep,
            _ => Step::Read,
        };
    };
    if !progress.has_read {
        // That there is nothing to do is all that older knowledge is good for.
        if !situation.must_be_read && sureness >= Sureness::Believed && is_settled(desired, observed) {
            return Step::Done;
        }
        if situation.must_be_read || sureness < Sureness::Ground {
            return Step::Read;
        }
    }
    let is_own = is_own(desired, observed);
    match sight(desired, observed, situation.doubt) {
        Sight::Unclear => return Step::LookAgain,
        Sight::Lost => return Step::ReportLost,
        // What bears the name may be somebody else's: that matters when it is to be made.
        Sight::Clear if situation.waits && !(observed.identity.is_some() && is_own) => return Step::Wait,
        Sight::Clear => {}
    }
    let Some(planned) = &progress.planned else { return Step::Plan };
    if !progress.unread.is_empty() {
        return Step::ReadAttached(&progress.unread);
    }
    match (progress.sources, planned) {
        (None, _) => Step::CheckSources,
        (Some(Sources::Replaced), _) => Step::ReportReplaced,
        (Some(Sources::Same), Err(problems)) => Step::Withdraw(problems),
        (Some(Sources::Same), Ok(plan)) => {
            // Where the finalizer is still to be put on, that announces them, too.
            let are_told = progress.unreported.is_empty() || !situation.is_finalized;
            if are_told { Step::Apply(plan) } else { Step::ReportIntended(&progress.unreported) }
        }
    }
}

/// What a plan makes and the object does not tell of: customer-managed policies, but for assume policies, which are found by their names, and as far as its status
/// has room; and the permissions boundary of its account, unless it `tells_of_boundary` already.
pub fn unreported(desired: &Desired, plan: &Plan, told: &BTreeSet<Arn>, tells_of_boundary: bool) -> Intended {
    let made = plan.actions.iter().filter_map(|action| match action {
        Action::CreatePolicy(policy) => Some(&policy.arn),
        _ => None,
    });
    let policies = made.filter(|arn| desired.policies.contains_key(arn) && !told.contains(arn));
    let mut boundaries = plan.actions.iter().filter_map(|action| match action {
        Action::CreateIdentity(identity) => identity.permissions_boundary.as_ref(),
        Action::PutPermissionsBoundary(_, boundary) => Some(boundary),
        _ => None,
    });
    let boundary = boundaries.find(|boundary| !tells_of_boundary && desired.imposed.contains(boundary));
    Intended { policies: policies.take(LISTED.saturating_sub(told.len())).cloned().collect(), boundary: boundary.cloned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::action::Receipt;
    use crate::identity::{Identity, IdentityName};
    use crate::names::Path;
    use crate::ours::Ours;
    use crate::ownership::{Earlier, Owner};
    use crate::quotas::Quotas;
    use rolebridge_api::Reason;

    const ID: &str = "AIDAEXAMPLEEXAMPLE01";

    /// A user without anything.
    fn alice() -> Desired {
        let owner = Owner { installation: "one".into(), resource: "BastionUser/data/alice".into(), uid: "u1".into(), earlier: Earlier::TakenOver };
        let identity = Identity {
            name: IdentityName::User("alice".parse().unwrap()),
            path: Path::root(),
            tags: owner.tags(),
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            groups: None,
            role: None,
        };
        Desired {
            crowded: None,
            owner,
            pinned: None,
            identity,
            arn: "arn:aws:iam::111111111111:user/alice".parse().unwrap(),
            imposed: BTreeSet::new(),
            ours: Ours::default(),
            keeps_boundary: false,
            trust: None,
            assumes: vec![],
            policies: BTreeMap::new(),
            former_policies: BTreeSet::new(),
            memberships: None,
            unmanaged: None,
            has_assume_policies: false,
            quotas: Quotas::default(),
            is_its_own_source: false,
            is_behind: false,
            written_trust: None,
        }
    }

    /// The same, which was made.
    fn made() -> Desired {
        Desired { pinned: Some(ID.parse().unwrap()), ..alice() }
    }

    /// What there is once the user is made.
    fn there() -> Observed {
        let mut observed = Observed::default();
        let plan = super::super::plan::plan(&alice(), &observed).unwrap();
        plan.actions.iter().for_each(|action| observed.record(action, &Receipt::Created(ID.parse().unwrap())));
        observed
    }

    fn known(observed: &Observed, sureness: Sureness) -> Option<Known<'_>> {
        Some(Known { observed, sureness })
    }

    fn read() -> Progress {
        Progress { has_read: true, ..Progress::default() }
    }

    #[test]
    fn what_was_never_made_is_assumed_absent_and_what_was_is_shown_by_a_sweep_or_read() {
        let next = |situation: Situation, progress: Progress| format!("{:?}", step(&alice(), None, &situation, &progress));
        let never = || Situation { is_never_made: true, ..Situation::default() };
        assert_eq!(next(never(), Progress::default()), "AssumeAbsent");
        assert_eq!(next(Situation { waits: true, ..never() }, Progress::default()), "Read", "it is not made to find out");
        let told = || Situation { is_reported: true, ..Situation::default() };
        assert_eq!(next(told(), Progress::default()), "AwaitSweep");
        assert_eq!(next(told(), Progress { has_asked_for_sweep: true, ..Progress::default() }), "Read");
        assert_eq!(next(Situation { must_be_read: true, ..told() }, Progress::default()), "Read");
    }

    #[test]
    fn older_knowledge_tells_only_that_there_is_nothing_to_do() {
        let next = |observed: &Observed, sureness: Sureness, must_be_read: bool| {
            let situation = Situation { is_reported: true, must_be_read, ..Situation::default() };
            format!("{:?}", step(&made(), known(observed, sureness), &situation, &Progress::default()))
        };
        let there = there();
        assert_eq!(next(&there, Sureness::Ground, false), "Done");
        assert_eq!(next(&there, Sureness::Believed, false), "Done");
        assert_eq!(next(&there, Sureness::Doubtful, false), "Read");
        assert_eq!(next(&there, Sureness::Ground, true), "Read", "somebody else needs to know");
        let mut changed = there.clone();
        changed.identity.iter_mut().for_each(|found| found.identity.tags.retain(|tag, _| tag.contains("owner") || tag.contains("uid")));
        changed.identity.iter_mut().for_each(|found| drop(found.identity.tags.insert("team".into(), "x".into())));
        assert_eq!(next(&changed, Sureness::Believed, false), "Read", "nothing is written on it");
    }

    #[test]
    fn what_is_not_shown_is_looked_for_until_that_proves_something_and_then_told_before_it_is_made_anew() {
        let nothing = Observed::default();
        let next = |desired: &Desired, doubt: u64, waits: bool| {
            let situation = Situation { doubt: Duration::from_secs(doubt), waits, ..Situation::default() };
            format!("{:?}", step(desired, known(&nothing, Sureness::Ground), &situation, &read()))
        };
        assert_eq!(next(&made(), 1, false), "LookAgain");
        assert_eq!(next(&made(), 0, false), "ReportLost");
        assert_eq!(next(&alice(), 1, true), "Wait");
        assert_eq!(next(&alice(), 1, false), "Plan");
    }

    #[test]
    fn a_plan_is_carried_out_once_its_sources_are_known_and_all_is_told_that_must_be() {
        let nothing = Observed::default();
        let plan = super::super::plan::plan(&alice(), &nothing);
        let next = |sources: Option<Sources>, unreported: &[&str], is_finalized: bool| {
            let policies = unreported.iter().map(|arn| arn.parse().unwrap()).collect();
            let unreported = Intended { policies, boundary: None };
            let progress = Progress { planned: Some(plan.clone()), sources, unreported, ..read() };
            let situation = Situation { is_finalized, ..Situation::default() };
            match step(&alice(), known(&nothing, Sureness::Ground), &situation, &progress) {
                Step::Apply(carried_out) => format!("Apply {}", carried_out.actions.len()),
                other => format!("{other:?}"),
            }
        };
        let policy = "arn:aws:iam::111111111111:policy/p";
        assert_eq!(next(None, &[], true), "CheckSources");
        assert_eq!(next(Some(Sources::Replaced), &[], true), "ReportReplaced");
        assert_eq!(next(Some(Sources::Same), &[], true), "Apply 1");
        assert!(next(Some(Sources::Same), &[policy], true).starts_with("ReportIntended"));
        assert_eq!(next(Some(Sources::Same), &[policy], false), "Apply 1", "the finalizer announces it");
    }

    #[test]
    fn what_a_plan_detaches_of_others_is_read_before_all_else() {
        let nothing = Observed::default();
        let unread: BTreeSet<Arn> = ["arn:aws:iam::111111111111:policy/p".parse().unwrap()].into();
        let planned = Some(super::super::plan::plan(&alice(), &nothing));
        let progress = Progress { planned, unread: unread.clone(), ..read() };
        assert_eq!(step(&alice(), known(&nothing, Sureness::Ground), &Situation::default(), &progress), Step::ReadAttached(&unread));
    }

    #[test]
    fn a_boundary_that_the_account_puts_on_is_told_unless_that_was_done_before() {
        let limit: Arn = "arn:aws:iam::111111111111:policy/limit".parse().unwrap();
        let declared = |imposed: bool| {
            let mut desired = alice();
            desired.identity.permissions_boundary = Some(limit.clone());
            desired.imposed = imposed.then(|| limit.clone()).into_iter().collect();
            desired
        };
        let name = alice().identity.name;
        let actions = [Action::CreateIdentity(Box::new(declared(true).identity)), Action::PutPermissionsBoundary(name, limit.clone())];
        for action in actions {
            let plan = Plan { actions: vec![action] };
            let told = |imposed, tells| unreported(&declared(imposed), &plan, &BTreeSet::new(), tells).boundary;
            assert_eq!(told(true, false), Some(limit.clone()));
            assert_eq!((told(true, true), told(false, false)), (None, None), "{plan:?}");
        }
    }

    #[test]
    fn without_a_plan_withdrawn_grants_end_and_the_problems_are_told() {
        let nothing = Observed::default();
        let problems = vec![Problem::new(Reason::QuotaExceeded, "too much")];
        let progress = Progress { planned: Some(Err(problems.clone())), sources: Some(Sources::Same), ..read() };
        assert_eq!(step(&alice(), known(&nothing, Sureness::Ground), &Situation::default(), &progress), Step::Withdraw(&problems));
    }
}
