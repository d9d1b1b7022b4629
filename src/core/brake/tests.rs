use super::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// A brake of three deletions or a tenth, and what is confirmed.
fn brake(confirmed: Option<i64>) -> Brake {
    Brake { settings: Some(DeletionBrake { share: 10, number: 3 }), confirmed: confirmed.map(at) }
}

fn made(seconds: i64) -> Deletion {
    Deletion { since: at(seconds), is_made: true, told: Told::Nothing }
}

/// What becomes of deletions one after the other, in an account of so many users and roles.
fn all(brake: &Brake, deletions: &[Deletion], total: usize) -> Vec<Verdict> {
    let mut counted: Vec<Timestamp> = vec![];
    let decide = |deletion: &Deletion| {
        let verdict = brake.decide(deletion, counted.iter().copied(), || total);
        counted.extend((verdict == Verdict::Counted).then_some(deletion.since));
        verdict
    };
    deletions.iter().map(decide).collect()
}

fn how_many(verdicts: &[Verdict], verdict: Verdict) -> usize {
    verdicts.iter().filter(|one| **one == verdict).count()
}

#[test]
fn the_first_ones_pass_and_the_rest_waits() {
    let verdicts = all(&brake(None), &(0..12).map(made).collect::<Vec<_>>(), 14);
    assert_eq!(verdicts[..3], [Verdict::Counted; 3]);
    assert_eq!(verdicts[3..], [Verdict::Held; 9]);
}

#[test]
fn the_larger_of_number_and_share_counts() {
    let deletions: Vec<Deletion> = (0..30).map(made).collect();
    for (total, passing) in [(0, 3), (30, 3), (39, 3), (40, 4), (99, 9), (200, 20), (1000, 30)] {
        assert_eq!(how_many(&all(&brake(None), &deletions, total), Verdict::Counted), passing, "{total}");
    }
}

#[test]
fn what_was_deleted_ten_minutes_ago_counts_no_more_and_what_waits_never_counted() {
    let verdicts = all(&brake(None), &[made(0), made(1), made(1), made(599), made(600), made(600), made(601)], 10);
    use Verdict::{Counted, Held};
    assert_eq!(verdicts, [Counted, Counted, Counted, Held, Counted, Held, Counted]);
}

#[test]
fn times_may_come_out_of_order() {
    let verdicts = all(&brake(None), &[made(5), made(3), made(4), made(0)], 10);
    assert_eq!(verdicts[3], Verdict::Held, "{verdicts:?}");
}

#[test]
fn what_was_confirmed_passes_and_counts_for_nothing() {
    let deletions: Vec<Deletion> = (0..12).map(made).collect();
    let verdicts = all(&brake(Some(5)), &deletions, 10);
    assert_eq!((verdicts[..6].to_vec(), verdicts[6..9].to_vec()), (vec![Verdict::Free; 6], vec![Verdict::Counted; 3]));
    assert_eq!(verdicts[9..], [Verdict::Held; 3]);
    assert!(brake(Some(5)).releases(at(5)) && !brake(Some(5)).releases(at(6)) && !brake(None).releases(at(0)));
}

#[test]
fn without_a_brake_everything_passes() {
    let none = Brake { confirmed: Some(at(-100)), ..Brake::default() };
    let told = [Told::Nothing, Told::Held, Told::Passed].map(|told| Deletion { told, ..made(0) });
    assert_eq!(all(&none, &told, 3), [Verdict::Free; 3]);
    assert!(none.releases(at(7)) && !none.is_set());
}

#[test]
fn what_has_nothing_in_aws_neither_waits_nor_counts() {
    let empty = Deletion { is_made: false, ..made(0) };
    assert_eq!(all(&brake(None), &[empty; 12], 12), [Verdict::Free; 12]);
}

#[test]
fn a_new_process_goes_by_what_the_statuses_say() {
    let held = Deletion { told: Told::Held, ..made(0) };
    let passed = Deletion { told: Told::Passed, ..made(0) };
    assert_eq!(all(&brake(None), &[held], 10), [Verdict::Held], "although nothing else was deleted");
    assert_eq!(all(&brake(Some(0)), &[held], 10), [Verdict::Free], "it was confirmed meanwhile");
    let verdicts = all(&brake(None), &[passed, passed, passed, passed, made(1)], 10);
    assert_eq!(verdicts, [Verdict::Counted, Verdict::Counted, Verdict::Counted, Verdict::Counted, Verdict::Held]);
}

fn user(status_generation: i64, reason: &str) -> rolebridge_api::BastionUser {
    let condition = json!({"type": "Ready", "status": "False", "reason": reason, "message": "", "observedGeneration": status_generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let manifest = json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "spec": {"accountRef": {"name": "utils"}},
        "metadata": {"name": "alice", "generation": 3, "deletionTimestamp": "2026-11-28T08:00:00Z"}, "status": {"conditions": [condition]},
    });
    serde_json::from_value(manifest).unwrap()
}

#[test]
fn a_status_tells_whether_an_earlier_process_let_the_deletion_pass() {
    let told = |generation, reason: &str| Deletion::of(&user(generation, reason), true).unwrap().told;
    assert_eq!(told(2, "Ready"), Told::Nothing, "it was written before the deletion");
    assert_eq!(told(3, "AccessDenied"), Told::Passed);
    assert_eq!((told(2, "AccessDenied"), told(2, "WaitingForRoles")), (Told::Nothing, Told::Passed), "the object was changed since");
    assert_eq!(told(3, "DeletionHeld"), Told::Held);
    let mut living = user(2, "Ready");
    living.metadata.deletion_timestamp = None;
    assert_eq!(Deletion::of(&living, true), None);
}

fn account(annotations: &Value, brake: &Value) -> AWSAccount {
    let spec = json!({"accountID": "111111111111", "access": {}, "allowedNamespaces": {"from": "All"}, "deletionBrake": brake});
    let metadata = json!({"name": "prod", "annotations": annotations});
    serde_json::from_value(json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": metadata, "spec": spec})).unwrap()
}

#[test]
fn the_command_that_is_told_confirms_what_waits() {
    let settings = json!({"share": 10, "number": 3});
    let held = Held { count: 9, newest: at(30) };
    for message in [held_in_account("prod", held), held_object("prod", at(30)).message] {
        let (_, command) = message.split_once("kubectl annotate awsaccount prod ").unwrap();
        let (key, value) = command.strip_suffix(" --overwrite").unwrap().split_once('=').unwrap();
        let confirmed = Brake::of(&account(&json!({key: value}), &settings));
        assert!(confirmed.releases(at(30)) && !confirmed.releases(at(31)), "{message}");
    }
}

#[test]
fn what_is_no_time_confirms_nothing_and_is_told() {
    for value in ["true", "", "2026-11-28", "2026-11-28T08:00:00", "2026-02-30T08:00:00Z"] {
        let unclear = account(&json!({CONFIRM_DELETIONS: value}), &json!({"share": 1, "number": 1}));
        assert!(!Brake::of(&unclear).releases(Timestamp::MIN), "{value:?}");
        assert!(unclear_confirmation(&unclear).unwrap().contains(&format!("{value:?}")));
    }
    for value in ["2026-11-28T08:00:00Z", "2026-11-28T09:00:00+01:00"] {
        let clear = account(&json!({CONFIRM_DELETIONS: value}), &json!({"share": 1, "number": 1}));
        assert_eq!((Brake::of(&clear).confirmed, unclear_confirmation(&clear)), (Some("2026-11-28T08:00:00Z".parse().unwrap()), None));
    }
    assert_eq!(unclear_confirmation(&account(&json!({}), &json!(null))), None);
}
