//! When it is believed that something is not there.
//!
//! IAM answers from replicas, some of which are behind: for a while after something was made a read may not show it, and a call that takes it away may
//! say that there is no such thing (Terraform provider, issue 18435). So an absence proves nothing while the thing may just have been made, by this process or by one before
//! it. What this process made it knows; and from the time for which it runs, and from what the resource itself says, it knows since when no other
//! process can have made anything.

use std::collections::BTreeSet;
use std::time::Duration;

use super::action::{Action, Receipt};
use super::assume::number;
use super::desired::Desired;
use super::document::Document;
use super::failure::{Effect, Failure};
use super::identity::IdentityName;
use super::names::{Arn, UniqueID};
use super::observed::{Observed, ObservedIdentity, Scope};
use super::plan::{DeletionPhase, DeletionTarget};

/// For how long IAM may not show what was made.
pub const PROPAGATION: Duration = Duration::from_secs(120);
/// The shortest pause between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);

/// Things that a message names.
const TOLD: usize = 3;

/// Something in IAM that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The user or role of a resource.
    Identity,
    /// One of its customer-managed policies.
    Policy(Arn),
    /// Whatever the user or role has: inline policies, attached ones, memberships, its permissions boundary. Which of them is not told apart.
    Part,
}

impl Thing {
    fn told(&self, name: &IdentityName) -> String {
        match self {
            Self::Identity | Self::Part => name.to_string(),
            Self::Policy(arn) => format!("policy {arn}"),
        }
    }
}

/// What an action that was tried has done to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It was made, or may have been: the reply was lost.
    Made,
    /// It was there, and was taken away.
    Deleted,
}

/// What trying an action has done to which thing; None where nothing was made, and where what was to go was not there.
pub fn deed(action: &Action, result: &Result<Receipt, Failure>) -> Option<(Thing, Deed)> {
    let is_made = result.as_ref().map_or_else(|failure| failure.effect == Effect::Unknown, |_| true);
    let made = |thing| is_made.then_some((thing, Deed::Made));
    let deleted = |thing| (*result == Ok(Receipt::Done)).then_some((thing, Deed::Deleted));
    match action {
        Action::CreateIdentity(_) => made(Thing::Identity),
        Action::CreatePolicy(policy) => made(Thing::Policy(policy.arn.clone())),
        Action::PutInlinePolicy(..) | Action::AttachPolicy(..) | Action::AddToGroup(..) | Action::PutPermissionsBoundary(..) => made(Thing::Part),
        Action::DeleteIdentity(_) => deleted(Thing::Identity),
        Action::DeletePolicy(arn) => deleted(Thing::Policy(arn.clone())),
        _ => None,
    }
}

/// The trust policy that trying an action has written, or may have.
pub fn trust_written<'a>(action: &'a Action, result: &Result<Receipt, Failure>) -> Option<&'a Document> {
    let written = match action {
        Action::UpdateTrustPolicy(_, document) => Some(document),
        Action::CreateIdentity(identity) => identity.role.as_ref().map(|role| &role.trust_policy),
        _ => None,
    };
    written.filter(|_| result.as_ref().map_or_else(|failure| failure.effect == Effect::Unknown, |_| true))
}

/// The thing that an action takes away.
pub fn taken_by(action: &Action) -> Option<Thing> {
    match action {
        Action::DeleteIdentity(_) => Some(Thing::Identity),
        Action::DeletePolicy(arn) => Some(Thing::Policy(arn.clone())),
        action if action.withdraws() => Some(Thing::Part),
        _ => None,
    }
}

/// Since when no other process can have made anything of a resource, as far as anybody knows: the longest of these counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// For how long this process runs, and knows who was made for the resource, where another process has made that.
    pub running: Duration,
    /// Since when the resource is being deleted: nothing is made for it after that.
    pub deleting: Option<Duration>,
    /// Since when it says without a break that it is Ready with this user or role. Says nothing of what else is made for it.
    pub ready: Option<Duration>,
}

/// What is known of when a thing was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// What this process did last, and how long ago.
    pub own: Option<(Deed, Duration)>,
    /// What others can have done; None where nobody else can have made anything at all.
    pub others: Option<Others>,
}

impl Traces {
    /// How much longer it proves nothing that IAM does not show the thing. Zero where it is not there, if it is not shown.
    pub fn doubt(&self, thing: &Thing) -> Duration {
        let left = |age: Duration| PROPAGATION.saturating_sub(age);
        let others = self.others.map(|others| {
            let ready = others.ready.filter(|_| *thing == Thing::Identity);
            left([others.deleting, ready].into_iter().flatten().fold(others.running, Duration::max))
        });
        match self.own {
            // Nobody makes it again but this process, so that it is gone.
            Some((Deed::Deleted, _)) => Duration::ZERO,
            Some((Deed::Made, age)) => left(age).max(others.unwrap_or_default()),
            None => others.unwrap_or_default(),
        }
    }
}

/// A policy that was asked about and is not shown although the user or role has it attached: it is there, and IAM is behind.
pub fn contradiction<'a>(observed: &'a Observed, scope: &Scope) -> Option<&'a Arn> {
    let identity = &observed.identity.as_ref()?.identity;
    let is_asked_about = |arn: &&Arn| scope.policies.contains(*arn) || number(identity, arn).is_some();
    identity.attached_policies.iter().filter(is_asked_about).find(|arn| !observed.policies.contains_key(*arn))
}

/// What a direct read shows, without the user or role that is known to be deleted by its unique ID since so long: IAM may be behind. What is still shown when
/// IAM has had the time to tell is there after all.
pub fn without_deleted(observed: Observed, deleted: Option<(&UniqueID, Duration)>) -> Observed {
    let is_deleted = |found: &ObservedIdentity| deleted.is_some_and(|(id, since)| *id == found.id && since < PROPAGATION);
    Observed { identity: observed.identity.filter(|found| !is_deleted(found)), ..observed }
}

/// What a direct read means for a resource that has, or had, a user or role in AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What is shown counts.
    Clear,
    /// What was made for it is not shown, and may be there all the same.
    Unclear,
    /// What was made for it was deleted by somebody else.
    Lost,
}

/// What a direct read means for a resource, whose user or role is in `doubt` for so much longer where it is not shown.
pub fn sight(desired: &Desired, observed: &Observed, doubt: Duration) -> Sight {
    let Some(pinned) = &desired.pinned else {
        // What an earlier object of the same name has left may be gone, and one of this object's own in its place.
        let is_earlier = |found: &ObservedIdentity| {
            let tags = &found.identity.tags;
            desired.owner.is_named_by(tags) && !desired.owner.is_told_by(tags)
        };
        let is_unclear = !doubt.is_zero() && observed.identity.as_ref().is_some_and(is_earlier);
        return if is_unclear { Sight::Unclear } else { Sight::Clear };
    };
    match (observed.shows(pinned, &desired.owner, !doubt.is_zero()), &observed.identity) {
        (None, _) => Sight::Unclear,
        (Some(false), None) => Sight::Lost,
        _ => Sight::Clear,
    }
}

/// The things of which it must be certain that they are not there before a removal is over, given what was there before it. `policies` are the
/// customer-managed policies that were made for the resource, or may have been.
pub fn awaited(removed: &DeletionTarget, observed: &Observed, how_far: DeletionPhase, policies: BTreeSet<Arn>) -> Vec<Thing> {
    let is_own = |found: &ObservedIdentity| removed.owner.check("", &found.identity.tags, &found.id, removed.pinned.as_ref()).is_ok();
    match how_far {
        // What is there is cut off.
        DeletionPhase::CutOff if observed.identity.as_ref().is_some_and(is_own) => vec![],
        DeletionPhase::CutOff => vec![Thing::Identity],
        DeletionPhase::Delete => [Thing::Identity].into_iter().chain(policies.into_iter().map(Thing::Policy)).collect(),
    }
}

/// What a person is told of things that are not shown and not known to be absent. `name` is that of the user or role.
pub fn told(things: &[Thing], name: &IdentityName) -> String {
    let more = if things.len() > TOLD { format!(" and {} more", things.len() - TOLD) } else { String::new() };
    let things: Vec<String> = things.iter().take(TOLD).map(|thing| thing.told(name)).collect();
    let why = "What was made in the last two minutes may be there all the same, so it is looked at again until that is certain";
    format!("IAM does not show {}{more}. {why}", things.join(", "))
}

/// The pause until the next look at what is not shown and not known to be absent for so much longer: most is shown within seconds, and the last look is
/// the one that proves it.
pub fn look_again(doubt: Duration) -> Duration {
    PROPAGATION.saturating_sub(doubt).max(SHORTEST_PAUSE).min(doubt)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::identity::Identity;
    use crate::names::Path;
    use crate::ownership::{Earlier, Owner};
    use crate::quotas::Quotas;
    use rolebridge_api::Reason;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);

    fn policy() -> Thing {
        Thing::Policy("arn:aws:iam::111111111111:policy/p".parse().unwrap())
    }

    /// A process that runs for so long, and has done nothing.
    fn running(age: Duration) -> Traces {
        Traces { own: None, others: Some(Others { running: age, ..Others::default() }) }
    }

    #[test]
    fn statement_66_what_this_process_made_is_not_absent_for_two_minutes_merely_because_it_is_not_shown() {
        for others in [None, running(DAY).others] {
            for thing in [Thing::Identity, policy(), Thing::Part] {
                let made = |ago| Traces { own: Some((Deed::Made, ago)), others }.doubt(&thing);
                assert_eq!(made(SECOND), PROPAGATION - SECOND);
                assert_eq!(made(PROPAGATION), Duration::ZERO);
                assert_eq!(Traces { own: Some((Deed::Deleted, SECOND)), others }.doubt(&thing), Duration::ZERO);
                assert_eq!(Traces { own: None, others }.doubt(&thing), Duration::ZERO, "it never made any");
            }
        }
    }

    #[test]
    fn statement_66_a_process_before_may_have_made_something_until_this_one_runs_for_two_minutes_or_the_resource_tells_better() {
        let new = running(SECOND);
        for thing in [Thing::Identity, policy(), Thing::Part] {
            assert_eq!(new.doubt(&thing), PROPAGATION - SECOND);
            let deleting = Others { running: SECOND, deleting: Some(30 * SECOND), ready: None };
            assert_eq!(Traces { own: None, others: Some(deleting) }.doubt(&thing), PROPAGATION - 30 * SECOND);
            let deleted = Traces { own: Some((Deed::Deleted, SECOND)), ..new };
            assert_eq!(deleted.doubt(&thing), Duration::ZERO, "IAM said that it went");
            let made = Traces { own: Some((Deed::Made, PROPAGATION)), ..new };
            assert_eq!(made.doubt(&thing), PROPAGATION - SECOND, "somebody else may have made it since");
        }
        let ready = Traces { own: None, others: Some(Others { running: SECOND, deleting: None, ready: Some(DAY) }) };
        assert_eq!(ready.doubt(&Thing::Identity), Duration::ZERO, "it was there long before");
        assert_eq!(ready.doubt(&policy()), PROPAGATION - SECOND, "a policy may have been put right without a word");
    }

    #[test]
    fn looks_come_close_at_first_and_the_last_one_when_it_is_certain() {
        let mut doubt = PROPAGATION - SECOND;
        let mut looks = vec![];
        while !doubt.is_zero() {
            let pause = look_again(doubt);
            looks.push(pause.as_secs());
            doubt -= pause;
        }
        assert_eq!(looks, [2, 3, 6, 12, 24, 48, 24]);
    }

    fn named(name: &str) -> Arn {
        format!("arn:aws:iam::111111111111:policy/{name}").parse().unwrap()
    }

    fn owner() -> Owner {
        Owner { installation: "one".into(), resource: "BastionUser/data/alice".into(), uid: "u1".into(), earlier: Earlier::TakenOver }
    }

    /// A user of ours with these policies attached.
    fn alice(attached: &[&str]) -> Observed {
        let identity = Identity {
            name: IdentityName::User("alice".parse().unwrap()),
            path: Path::root(),
            tags: owner().tags(),
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: attached.iter().map(|name| named(name)).collect(),
            groups: None,
            role: None,
        };
        let found = ObservedIdentity { id: "AIDAEXAMPLEEXAMPLE01".parse().unwrap(), identity };
        Observed { identity: Some(found), ..Observed::default() }
    }

    #[test]
    fn a_policy_that_is_attached_is_there_whether_it_is_shown_or_not() {
        let scope = Scope { name: None, policies: [named("own")].into(), groups: false, pinned: None };
        let shown_late = |names: &[&str]| contradiction(&alice(names), &scope).cloned();
        assert_eq!(shown_late(&["own", "another"]), Some(named("own")));
        assert_eq!(shown_late(&["another", "rolebridge-assume-roles-alice-1"]), Some(named("rolebridge-assume-roles-alice-1")));
        assert_eq!(shown_late(&["another"]), None, "nobody asked about it");
        assert_eq!(contradiction(&Observed::default(), &scope), None);
    }

    #[test]
    fn what_was_told_as_deleted_is_not_there_until_iam_has_had_the_time_to_tell() {
        let (deleted, another) = ("AIDAEXAMPLEEXAMPLE01".parse().unwrap(), "AIDAEXAMPLEEXAMPLE02".parse().unwrap());
        let is_there = |id, since| without_deleted(alice(&[]), Some((id, since))).identity.is_some();
        assert!(!is_there(&deleted, SECOND));
        assert!(is_there(&deleted, PROPAGATION), "it lives after all");
        assert!(is_there(&another, SECOND) && without_deleted(alice(&[]), None).identity.is_some());
    }

    #[test]
    fn a_removal_is_over_when_nothing_that_may_have_been_made_is_left() {
        let name = IdentityName::User("alice".parse().unwrap());
        let removed = DeletionTarget { owner: owner(), pinned: None, name, policies: BTreeSet::new(), quotas: Quotas::default() };
        let awaited = |there: &Observed, how_far| awaited(&removed, there, how_far, [named("own")].into());
        let all = vec![Thing::Identity, Thing::Policy(named("own"))];
        assert_eq!(awaited(&alice(&[]), DeletionPhase::Delete), all);
        assert_eq!(awaited(&Observed::default(), DeletionPhase::Delete), all);
        assert_eq!(awaited(&Observed::default(), DeletionPhase::CutOff), [Thing::Identity], "who is not shown is not cut off");
        assert_eq!(awaited(&alice(&[]), DeletionPhase::CutOff), []);
    }

    #[test]
    fn what_was_made_and_what_went_is_known_from_what_iam_answered() {
        let arn: Arn = "arn:aws:iam::111111111111:policy/p".parse().unwrap();
        let delete = [(Action::DeletePolicy(arn), policy()), (Action::DeleteIdentity(IdentityName::User("ana".parse().unwrap())), Thing::Identity)];
        let failed = |effect| Err(Failure { effect, ..Failure::refused(Reason::AWSUnavailable, "no") });
        for (action, thing) in delete {
            assert_eq!(deed(&action, &Ok(Receipt::Done)), Some((thing.clone(), Deed::Deleted)));
            assert_eq!(deed(&action, &Ok(Receipt::Missing)), None, "it may not be shown yet");
            assert_eq!(deed(&action, &failed(Effect::Unknown)), None);
            assert_eq!(taken_by(&action), Some(thing));
        }
        let attach = Action::AttachPolicy(IdentityName::User("ana".parse().unwrap()), "arn:aws:iam::aws:policy/P".parse().unwrap());
        let made = Some((Thing::Part, Deed::Made));
        assert_eq!((deed(&attach, &Ok(Receipt::Done)), deed(&attach, &failed(Effect::Unknown))), (made.clone(), made));
        assert_eq!((deed(&attach, &failed(Effect::None)), deed(&attach, &failed(Effect::AlreadyExists))), (None, None));
    }
}
