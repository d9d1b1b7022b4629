//! Handing back: our tags come off what a resource has in AWS, and everything else stays as it is. From then on it is nobody's of ours.
//!
//! Every tag whose key begins with `rolebridge.io/` is ours: the schemas let no resource declare one.

use std::collections::BTreeSet;

use super::absence::Thing;
use super::action::{Action, Tagged};
use super::names::Arn;
use super::observed::{Observed, ObservedIdentity};
use super::outcome::Problem;
use super::ownership::{INSTALLATION, OWNER, Tags};
use super::plan::{DeletionTarget, Plan, own_policies, policies_of};
use rolebridge_api::{GROUP, Reason};

/// Plans what takes our tags off the user or role of a resource, and off its customer-managed policies.
///
/// The plan is empty where that is done already, where nothing is there, and where what is there is somebody else's.
///
/// # Errors
/// [`Reason::Conflict`] where something was made for the resource, and bears owner tags that say something else.
pub fn plan_hand_back(target: &DeletionTarget, observed: &Observed) -> Result<Plan, Problem> {
    let of_others = policies_of(target, observed).find(|found| target.owner.is_of_another_installation(&found.policy.tags));
    if let Some(found) = of_others {
        return Err(mislabelled(&format!("policy {}", found.policy.arn), &found.policy.tags));
    }
    let identity = match &observed.identity {
        Some(found) if is_own(target, found)? => Some((Tagged::Identity(found.identity.name.clone()), &found.identity.tags)),
        _ => None,
    };
    let policies = own_policies(target, observed).into_iter().map(|found| (Tagged::Policy(found.policy.arn.clone()), &found.policy.tags));
    // The policies first: of the user or role the unique ID is known, also once its tags are off.
    let all = policies.chain(identity).map(|(what, tags)| Action::Untag(what, our_keys(tags)));
    Ok(Plan { actions: all.collect() })
}

/// Things that may have been made for the resource and that a read does not show. `policies` are the customer-managed policies that it is likely to have.
pub fn unseen(observed: &Observed, policies: BTreeSet<Arn>) -> Vec<Thing> {
    let identity = observed.identity.is_none().then_some(Thing::Identity);
    let policies = policies.into_iter().filter(|arn| !observed.policies.contains_key(arn)).map(Thing::Policy);
    identity.into_iter().chain(policies).collect()
}

/// Whether a user or role is the resource's own, and still bears its owner tags.
fn is_own(target: &DeletionTarget, found: &ObservedIdentity) -> Result<bool, Problem> {
    let (name, tags) = (found.identity.name.to_string(), &found.identity.tags);
    if target.owner.check(&name, tags, &found.id, target.pinned.as_ref()).is_ok() {
        return Ok(true);
    }
    let was_made_for_it = target.pinned.as_ref() == Some(&found.id) || target.owner.is_of_another_installation(tags);
    if was_made_for_it && !our_keys(tags).is_empty() { Err(mislabelled(&name, tags)) } else { Ok(false) }
}

/// What was made for a resource and says something else. Whoever left it behind so, be it by a wrong installation ID, would not find it again.
fn mislabelled(what: &str, tags: &Tags) -> Problem {
    let said: Vec<String> = [INSTALLATION, OWNER].iter().filter_map(|key| Some(format!("{key}={}", tags.get(*key)?))).collect();
    let said = if said.is_empty() { "not whose it is".to_owned() } else { said.join(" and ") };
    let message = format!(
        "{what} was made for this resource, but its tags say {said}. Give --installation as the operator has it; or if the tags were changed by hand, take those that begin with {GROUP}/ off in AWS"
    );
    Problem::new(Reason::Conflict, message)
}

fn our_keys(tags: &Tags) -> Vec<String> {
    // The keys of the tags of users and roles are the same whatever their case.
    let is_ours = |key: &&String| key.to_ascii_lowercase().strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'));
    tags.keys().filter(is_ours).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::action::Receipt;
    use crate::document::Document;
    use crate::identity::{Identity, IdentityName, ManagedPolicy};
    use crate::names::Path;
    use crate::observed::ObservedPolicy;
    use crate::ownership::{Earlier, Owner};
    use crate::quotas::Quotas;

    const ID: &str = "AIDAEXAMPLEEXAMPLE01";
    const OTHER_ID: &str = "AIDAEXAMPLEEXAMPLE02";

    fn owner() -> Owner {
        Owner { installation: "one".into(), resource: "BastionUser/data/alice".into(), uid: "u1".into(), earlier: Earlier::LeftTo("utils".into()) }
    }

    fn arn(name: &str) -> Arn {
        format!("arn:aws:iam::111111111111:policy/{name}").parse().unwrap()
    }

    /// A user that was made, and its policy.
    fn target() -> DeletionTarget {
        DeletionTarget {
            owner: owner(),
            pinned: Some(ID.parse().unwrap()),
            name: IdentityName::User("alice".parse().unwrap()),
            policies: [arn("list")].into(),
            quotas: Quotas::default(),
        }
    }

    fn unpinned() -> DeletionTarget {
        DeletionTarget { pinned: None, ..target() }
    }

    /// The tags of an owner, beside those that the resource declares.
    fn tags(owner: &Owner) -> Tags {
        owner.tags().into_iter().chain([("team".to_owned(), "data".to_owned())]).collect()
    }

    fn declared() -> Tags {
        Tags::from([("team".to_owned(), "data".to_owned())])
    }

    fn policy(name: &str, tags: Tags) -> (Arn, ObservedPolicy) {
        let document = Document::from_value(serde_json::json!({"Version": "2012-10-17", "Statement": []})).unwrap();
        let policy = ManagedPolicy { arn: arn(name), name: name.parse().unwrap(), path: Path::root(), description: String::new(), document, tags };
        let id = "ANPAEXAMPLEEXAMPLE01".parse().unwrap();
        (arn(name), ObservedPolicy { id, policy, default_version: "v1".into(), other_versions: vec![] })
    }

    /// A user of this name and unique ID with these tags, the policy `list` with the same tags, and an assume policy with the same.
    fn there(name: &str, id: &str, tags: &Tags) -> Observed {
        let shard = "rolebridge-assume-roles-alice-1";
        let identity = Identity {
            name: IdentityName::User(name.parse().unwrap()),
            path: Path::root(),
            tags: tags.clone(),
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: [arn("list"), arn(shard)].into(),
            groups: None,
            role: None,
        };
        let policies = BTreeMap::from([policy("list", tags.clone()), policy(shard, tags.clone())]);
        Observed { identity: Some(ObservedIdentity { id: id.parse().unwrap(), identity }), policies, ..Observed::default() }
    }

    fn planned(target: &DeletionTarget, observed: &Observed) -> Vec<String> {
        plan_hand_back(target, observed).unwrap().actions.iter().map(ToString::to_string).collect()
    }

    fn untag(what: &str) -> String {
        format!("remove tags rolebridge.io/installation, rolebridge.io/owner, rolebridge.io/uid of {what}")
    }

    fn all_of(user: &str) -> [String; 3] {
        [untag(&format!("policy {}", arn("list"))), untag(&format!("policy {}", arn("rolebridge-assume-roles-alice-1"))), untag(user)]
    }

    #[test]
    fn our_tags_come_off_and_nothing_else_changes_wherever_it_is_interrupted() {
        let before = there("alice", ID, &tags(&owner()));
        for target in [target(), unpinned()] {
            assert_eq!(planned(&target, &before), all_of("user alice"));
            let plan = plan_hand_back(&target, &before).unwrap();
            let mut now = before.clone();
            for (number, action) in plan.actions.iter().enumerate() {
                now.record(action, &Receipt::Done);
                assert_eq!(planned(&target, &now), all_of("user alice")[number + 1..], "after {action}");
            }
            assert_eq!(now, there("alice", ID, &declared()));
        }
    }

    #[test]
    fn a_user_that_somebody_has_renamed_is_handed_back_by_the_name_that_it_bears() {
        // Its assume policy has the name that the user had, as the status tells.
        let target = DeletionTarget { policies: [arn("list"), arn("rolebridge-assume-roles-alice-1")].into(), ..target() };
        assert_eq!(planned(&target, &there("bob", ID, &tags(&owner()))), all_of("user bob"));
    }

    #[test]
    fn what_tells_of_devices_of_a_user_that_was_being_deleted_goes_too_whatever_the_case_of_keys() {
        let more = [("rolebridge.io/mfa-device-1", "x"), ("Rolebridge.io/Note", "y"), ("rolebridge.iox", "theirs")];
        let all = tags(&owner()).into_iter().chain(more.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect();
        let mut now = there("alice", ID, &all);
        plan_hand_back(&target(), &now.clone()).unwrap().actions.iter().for_each(|action| now.record(action, &Receipt::Done));
        let left = now.identity.unwrap().identity.tags;
        assert_eq!(left.keys().map(String::as_str).collect::<Vec<_>>(), ["rolebridge.iox", "team"]);
    }

    #[test]
    fn what_is_absent_has_nothing_to_be_taken_off() {
        assert_eq!(planned(&target(), &Observed::default()), Vec::<String>::new());
    }

    #[test]
    fn what_is_somebody_elses_stays_as_it_is() {
        let other = Owner { resource: "BastionUser/other/alice".into(), uid: "u2".into(), ..owner() };
        let earlier = Owner { uid: "u0".into(), ..owner() };
        for tags in [Tags::new(), declared(), tags(&other), tags(&earlier)] {
            assert_eq!(planned(&unpinned(), &there("alice", ID, &tags)), Vec::<String>::new(), "{tags:?}");
            assert_eq!(planned(&target(), &there("alice", OTHER_ID, &tags)), Vec::<String>::new(), "{tags:?}");
        }
        // One that somebody has made anew and given our tags. The policies are still ours.
        assert_eq!(planned(&target(), &there("alice", OTHER_ID, &tags(&owner()))), all_of("")[..2]);
    }

    #[test]
    fn a_policy_of_somebody_else_that_a_resource_names_stays_as_it_is() {
        let mut now = there("alice", ID, &tags(&owner()));
        now.policies.extend([policy("list", declared())]);
        assert_eq!(planned(&target(), &now), all_of("user alice")[1..]);
        now.policies.extend([policy("unrelated", tags(&owner()))]);
        assert_eq!(planned(&target(), &now), all_of("user alice")[1..], "it is read for no reason of ours");
    }

    #[test]
    fn what_was_made_for_a_resource_and_names_another_owner_is_not_left_behind_in_silence() {
        let elsewhere = Owner { installation: "two".into(), ..owner() };
        let other = Owner { resource: "BastionUser/other/alice".into(), uid: "u2".into(), ..owner() };
        let problem = |target: &DeletionTarget, tags: &Tags| plan_hand_back(target, &there("alice", ID, tags)).unwrap_err();
        for found in [problem(&target(), &tags(&elsewhere)), problem(&unpinned(), &tags(&elsewhere))] {
            assert_eq!(found.reason, Reason::Conflict);
            assert!(found.message.contains("rolebridge.io/installation=two") && found.message.contains("--installation"), "{}", found.message);
        }
        assert!(problem(&target(), &tags(&other)).message.contains("user alice was made for this resource"));
        let mut half = tags(&owner());
        half.remove(OWNER);
        half.remove(INSTALLATION);
        assert!(problem(&target(), &half).message.contains("not whose it is"));
        // A policy alone as well.
        let mut now = there("alice", ID, &tags(&owner()));
        now.policies.extend([policy("list", tags(&elsewhere))]);
        assert!(plan_hand_back(&target(), &now).unwrap_err().message.contains(arn("list").as_str()));
    }

    #[test]
    fn what_may_be_there_and_is_not_shown_is_told() {
        let policies = || [arn("list"), arn("late")].into();
        assert_eq!(unseen(&there("alice", ID, &Tags::new()), policies()), [Thing::Policy(arn("late"))]);
        assert_eq!(unseen(&Observed::default(), [].into()), [Thing::Identity]);
    }
}
