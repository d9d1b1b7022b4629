//! A user with more roles than its inline policy holds.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    Seen,
    aws_sim::{Fault, FaultKind, Settings},
};
use serde_json::json;

use crate::{
    campaign::{Campaign, is_full},
    invariants::{effective, grants, part},
    stepper::{Stepper, Strike},
    support::{Counts, World, bastion_user, cross_account_role, new_key, once, user},
};

/// So many roles take two accounts, and more room than the inline policy has.
const ROLES: usize = 60;

#[tokio::test]
async fn sixty_roles_are_granted_one_is_withdrawn_and_nothing_is_left_behind() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let homes = [tenant.ready_account("prod", "").await?, tenant.ready_account("stage", "").await?];
    let before = tenant.state(&utils).await?;
    let name = |number: usize| format!("role-{number:0>2}");
    let arn = |number: usize| homes[number % 2].arn(&format!("role/{}", name(number)));
    let roles: String = (0..ROLES).map(|number| cross_account_role(&name(number), &homes[number % 2], "{user: {name: alice}}", "")).collect();
    tenant.apply(&(bastion_user("alice", &utils, "") + &roles)).await?;
    for number in 0..ROLES {
        tenant.ready(&tenant.roles(), &name(number)).await?;
    }
    let listed = |numbers: BTreeSet<usize>| {
        let (users, wanted) = (tenant.users(), numbers.into_iter().map(arn).collect::<BTreeSet<_>>());
        async move {
            let status = users.get("alice").await?.status.context("no status")?;
            let found: BTreeSet<String> = status.roles.iter().map(|role| role.role_arn.clone()).collect();
            Ok(if found == wanted { Seen::Done(status) } else { Seen::NotYet(format!("{} roles are listed", found.len())) })
        }
    };
    let status = world.testbed.wait_for("the status lists every role", || listed((0..ROLES).collect())).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let policy = utils.arn("policy/rolebridge-assume-roles-alice-1");
    let policies: Vec<(Option<&str>, i64)> = status.assume_policies.iter().map(|policy| (policy.arn.as_deref(), policy.quota)).collect();
    assert_eq!(policies, [(Some(policy.as_str()), 6144)]);
    let state = tenant.state(&utils).await?;
    let alice = user(&state, "alice").context("no user")?;
    assert_eq!((&alice["inlinePolicies"], &alice["attachedPolicies"]), (&json!({}), &json!([policy])));
    let person = new_key(&utils.iam, "alice").await?;
    for number in [0, ROLES - 1] {
        ensure!(world.may_assume(&person, &arn(number)).await?, "{}", arn(number));
    }

    // One of them is withdrawn: its own trust, the one policy that names it, and at most an old version of that makes room.
    let since = world.last_call().await?;
    tenant.apply(&cross_account_role(&name(7), &homes[1], "", "")).await?;
    tenant.ready(&tenant.roles(), &name(7)).await?;
    world.testbed.wait_for("the status lists the others", || listed((0..ROLES).filter(|number| *number != 7).collect())).await?;
    let (mut writes, reads) = world.counts_in(&[&utils, &homes[0], &homes[1]], since).await?;
    ensure!(writes.remove("DeletePolicyVersion").unwrap_or_default() <= 1);
    assert_eq!((writes, reads), (once(&["UpdateAssumeRolePolicy", "CreatePolicyVersion"]), Counts::new()));
    ensure!(!world.may_assume(&person, &arn(7)).await?);
    ensure!(world.may_assume(&person, &arn(8)).await?);

    tenant.delete(&["bastionuser/alice"]).await?;
    assert_eq!(tenant.state(&utils).await?, before);
    Ok(())
}

/// How many of the roles with long names may be assumed, round after round: inline, in a policy, in two, in one, inline again, none.
const ROUNDS: [usize; 6] = [3, 6, 14, 5, 1, 0];

#[tokio::test]
async fn roles_move_between_policies_while_the_operator_dies() -> Result<()> {
    let mut campaign = Campaign::new("assume policies");
    let world = World::own().await?;
    let gate = world.gate().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    tenant.apply(&(utils.manifest(&tenant.only_here(), "") + &prod.manifest(&tenant.only_here(), ""))).await?;
    let mut stepper = Stepper::new(&world, &gate, world.operator_by(gate.kubeconfig())?, &tenant, vec![&utils, &prod]).await?;
    let most = ROUNDS.into_iter().max().unwrap_or_default();
    // Three of these fill the inline policy, twelve a customer-managed one.
    let path = format!("/{}/", "long".repeat(110));
    let granted = |count: usize| {
        let roles: Vec<String> = (0..count).map(|number| prod.arn(&format!("role{path}role-{number}"))).collect();
        grants(&[utils.arn("user/alice")], &roles)
    };
    let (mut before, mut deaths) = (0, 0);
    for lap in 0..if is_full() { 8 } else { 1 } {
        tenant.apply(&bastion_user("alice", &utils, "")).await?;
        for count in ROUNDS {
            let role = |number: usize| {
                let source = if number < count { "{user: {name: alice}}" } else { "" };
                cross_account_role(&format!("role-{number}"), &prod, source, &format!("path: {path}"))
            };
            let hold = Fault::of(FaultKind::Hold, "*").nth(campaign.random.u64(1..=8));
            let strike = [Strike::None, Strike::Kill(hold.clone()), Strike::Kill(hold.after())][campaign.random.usize(..3)].clone();
            // Now and then what was just made is not known everywhere yet.
            let delay = [0, 0, 1_500][campaign.random.usize(..3)];
            world.testbed.aws.set(Settings { propagation_delay_ms: Some(delay), ..Settings::default() }).await?;
            stepper.arm(strike).await?;
            stepper.expect(&granted(before), &granted(count));
            let done = async {
                tenant.apply(&(0..most).map(role).collect::<String>()).await?;
                for number in 0..most {
                    tenant.ready(&tenant.roles(), &format!("role-{number}")).await?;
                }
                let settled = || async {
                    let now = effective(&part(world.testbed.aws.state().await?, &[&utils, &prod]));
                    let told = tenant.users().get("alice").await?.status.map_or(0, |status| status.roles_total);
                    // Also what a withdrawal leaves to be tidied up is done before the next round.
                    let settled = now == granted(count) && usize::try_from(told) == Ok(count);
                    Ok(Seen::from_option(settled.then_some(()), || format!("{} roles may be assumed, {told} are told", now.len())))
                };
                world.testbed.wait_for("exactly what is declared is granted and told", settled).await?;
                tenant.ready(&tenant.users(), "alice").await.map(drop)
            };
            stepper.during(done).await.with_context(|| format!("{campaign}: from {before} roles to {count}"))?;
            deaths += u64::from(stepper.has_struck().await?);
            before = count;
        }
        // A deletion comes while the policies are being made.
        stepper.expect(&granted(before), &granted(most));
        let all = |source: &str| {
            (0..most).map(|number| cross_account_role(&format!("role-{number}"), &prod, source, &format!("path: {path}"))).collect::<String>()
        };
        let hold = Fault::of(FaultKind::Hold, "*").nth(campaign.random.u64(1..=20));
        stepper.arm(Strike::Kill(hold.after())).await?;
        stepper.during(tenant.apply(&all("{user: {name: alice}}"))).await?;
        stepper.during(tenant.delete(&["bastionuser/alice"])).await.with_context(|| format!("{campaign}: deletion"))?;
        deaths += u64::from(stepper.has_struck().await?);
        let left = tenant.state(&utils).await?.policies;
        ensure!(left.is_empty(), "{campaign}: {left:?}");
        stepper.during(tenant.apply(&all(""))).await?;
        before = 0;
        campaign.note(&format!("lap {lap}: killed {deaths} times"));
    }
    let checks = stepper.checks;
    stepper.finish().await?.ensure_running()?;
    campaign.conclude(&format!("{checks} checks, killed {deaths} times"));
    Ok(())
}
