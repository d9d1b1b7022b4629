//! Many grants that change all at once, again and again, with an operator that dies now and then: nobody ever has what neither was nor is to
//! be granted, and nobody loses what stays.
//!
//! How often is more in `make campaign`; the seed is printed, and set by `ROLEBRIDGE_SEED`.

use std::{collections::BTreeSet, fmt::Write};

use anyhow::{Context, Result};
use rolebridge_testbed::{
    Seen,
    aws_sim::{Fault, FaultKind},
};

use crate::{
    campaign::{Campaign, is_full},
    invariants::{Grants, effective, part},
    stepper::{Stepper, Strike},
    support::{Account, World, bastion_user, manifest},
};

const USERS: usize = 7;
const ROLES: usize = 7;
/// Roles from this one on are in the account of the users, where a trust policy suffices by itself.
const AT_HOME: usize = 5;

/// Whom a role trusts, and whether it names the users or their whole account.
#[derive(Clone, Debug, Default)]
struct Trust {
    users: BTreeSet<usize>,
    root: bool,
}

struct Scene<'w> {
    utils: &'w Account,
    prod: &'w Account,
}

impl Scene<'_> {
    fn home(&self, role: usize) -> &Account {
        if role < AT_HOME { self.prod } else { self.utils }
    }

    fn manifest(&self, role: usize, trust: &Trust) -> String {
        let sources: Vec<String> = trust.users.iter().map(|user| format!("{{user: {{name: user-{user}}}}}")).collect();
        let form = if trust.root { "AccountRoot" } else { "Named" };
        let entries = if sources.is_empty() { String::new() } else { format!("{{from: [{}], principal: {form}}}", sources.join(", ")) };
        let spec = format!("{{accountRef: {{name: {}}}, trust: [{entries}]}}", self.home(role).name);
        manifest("CrossAccountRole", &format!("role-{role}"), &spec)
    }

    fn grants(&self, trusts: &[Trust]) -> Grants {
        let of_role = |(role, trust): (usize, &Trust)| {
            let role_arn = self.home(role).arn(&format!("role/role-{role}"));
            trust.users.iter().map(move |user| (self.utils.arn(&format!("user/user-{user}")), role_arn.clone())).collect::<Vec<_>>()
        };
        trusts.iter().enumerate().flat_map(of_role).collect()
    }
}

fn draw(random: &mut fastrand::Rng, before: &Trust) -> Trust {
    match random.u8(..8) {
        // What nobody touches, or what merely takes another form, stays as it is in between.
        0 | 1 => before.clone(),
        2 => Trust { root: !before.root, ..before.clone() },
        3 => Trust::default(),
        _ => Trust { users: (0..USERS).filter(|_| random.bool()).collect(), root: random.bool() },
    }
}

#[tokio::test]
async fn many_grants_change_at_once_and_each_is_within_its_bounds() -> Result<()> {
    let mut campaign = Campaign::new("many grants");
    let world = World::own().await?;
    let gate = world.gate().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let rooted = "guardrails: {accountRootTrust: true}";
    tenant.apply(&(utils.manifest(&tenant.only_here(), rooted) + &prod.manifest(&tenant.only_here(), rooted))).await?;
    let scene = Scene { utils: &utils, prod: &prod };
    let mut stepper = Stepper::new(&world, &gate, world.operator_by(gate.kubeconfig())?, &tenant, vec![&utils, &prod]).await?;
    let users: String = (0..USERS).map(|user| bastion_user(&format!("user-{user}"), &utils, "")).collect();
    let mut trusts = vec![Trust::default(); ROLES];
    let mut deaths = 0;
    let rounds = if is_full() { 100 } else { 6 };
    for round in 0..rounds {
        let old = scene.grants(&trusts);
        trusts = trusts.iter().map(|before| draw(&mut campaign.random, before)).collect();
        let new = scene.grants(&trusts);
        let mut change = if round == 0 { users.clone() } else { String::new() };
        for (role, trust) in trusts.iter().enumerate() {
            change.write_str(&scene.manifest(role, trust))?;
        }
        let hold = Fault::of(FaultKind::Hold, "*").nth(campaign.random.u64(1..=12));
        let strike = [Strike::None, Strike::Kill(hold.clone()), Strike::Kill(hold.after())][campaign.random.usize(..3)].clone();
        stepper.arm(strike).await?;
        stepper.expect(&old, &new);
        let done = async {
            tenant.apply(&change).await?;
            for role in 0..ROLES {
                tenant.ready(&tenant.roles(), &format!("role-{role}")).await?;
            }
            let settled = || async {
                let now = effective(&part(world.testbed.aws.state().await?, &[&utils, &prod]));
                Ok(Seen::from_option((now == new).then_some(()), || format!("{:?} differ", now.symmetric_difference(&new).collect::<Vec<_>>())))
            };
            world.testbed.wait_for("exactly what is declared is granted", settled).await
        };
        stepper.during(done).await.with_context(|| format!("{campaign}: round {round}: {trusts:?}"))?;
        deaths += u64::from(stepper.has_struck().await?);
        campaign.note(&format!("round {round}: {} grants after {}", new.len(), old.len()));
    }
    let checks = stepper.checks;
    stepper.finish().await?.ensure_running()?;
    campaign.conclude(&format!("{rounds} rounds, {checks} checks, killed {deaths} times"));
    Ok(())
}
