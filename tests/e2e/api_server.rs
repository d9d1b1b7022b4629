//! An API server that goes away and comes back, watches that end, and writes that meet a newer version: what is declared meanwhile is carried
//! out, and nothing else happens in AWS. "Row" is a row of the table of bad inputs that the project keeps. The operator is taken from call to call, and the invariants are checked after each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use rolebridge_testbed::{
    ApiGate, Call, Operator, Seen,
    aws_sim::{Fault, FaultKind, FaultWhen},
};

use crate::{
    invariants::{Grants, grants},
    stepper::{Stepper, Strike},
    support::{Account, Counts, LIST, READ, Tenant, World, bastion_user, config_map, cross_account_role, once},
};

/// A tenant with alice and bob, who may both assume the role reader, and an operator that has made them.
struct Recipe<'w> {
    tenant: Tenant<'w>,
    utils: Account,
    prod: Account,
}

impl<'w> Recipe<'w> {
    async fn new(world: &'w World) -> Result<Self> {
        let tenant = world.tenant().await?;
        let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
        Ok(Self { tenant, utils, prod })
    }

    /// Has everything made, and returns the one who supervises it. The operator goes to the API server as `operator` says.
    async fn make(&'w self, gate: &'w ApiGate, operator: Operator) -> Result<Stepper<'w>> {
        let (tenant, here) = (&self.tenant, self.tenant.only_here());
        let mut stepper = Stepper::new(tenant.world, gate, operator, tenant, vec![&self.utils, &self.prod]).await?;
        stepper.expect(&Grants::new(), &self.granted(&["alice", "bob"]));
        let users = self.user("alice") + &self.user("bob");
        let all = self.utils.manifest(&here, "") + &self.prod.manifest(&here, "") + &users + &self.reader(&["alice", "bob"], "");
        stepper.during(async { self.ready(&format!("{}\n{all}", config_map("policies", "list.json", LIST)), &["alice", "bob"]).await }).await?;
        stepper.expect(&self.granted(&["alice", "bob"]), &self.granted(&["alice", "bob"]));
        Ok(stepper)
    }

    fn granted(&self, users: &[&str]) -> Grants {
        let users: Vec<String> = users.iter().map(|name| self.utils.arn(&format!("user/{name}"))).collect();
        grants(&users, &[self.prod.arn("role/reader")])
    }

    fn user(&self, name: &str) -> String {
        bastion_user(name, &self.utils, "")
    }

    fn reader(&self, users: &[&str], fields: &str) -> String {
        let sources: Vec<String> = users.iter().map(|name| format!("{{user: {{name: {name}}}}}")).collect();
        let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
        cross_account_role("reader", &self.prod, &sources.join(", "), &format!("{permissions}, {fields}"))
    }

    /// Declares this, and waits until the role and these users say that it is so.
    async fn ready(&self, manifest: &str, users: &[&str]) -> Result<()> {
        self.tenant.apply(manifest).await?;
        for name in users {
            self.tenant.ready(&self.tenant.users(), name).await?;
        }
        self.tenant.ready(&self.tenant.roles(), "reader").await.map(drop)
    }

    /// The unique IDs of users and roles: what is made anew under its name has another.
    async fn ids(&self) -> Result<Vec<String>> {
        let (users, roles) = (self.tenant.state(&self.utils).await?.users, self.tenant.state(&self.prod).await?.roles);
        let ids = users.iter().map(|user| &user["userID"]).chain(roles.iter().map(|role| &role["roleID"]));
        ids.map(|id| id.as_str().map(str::to_owned).context("no unique ID")).collect()
    }

    /// Of all that was there, one user is gone, and nothing was made anew.
    async fn only_bob_is_gone(&self, before: &[String]) -> Result<()> {
        let now = self.ids().await?;
        let gone: Vec<_> = before.iter().filter(|id| !now.contains(id)).collect();
        ensure!(gone.len() == 1 && gone[0].starts_with("AIDA"), "{gone:?} of {before:?} are gone, now there are {now:?}");
        Ok(())
    }

    async fn writes(&self, since: u64) -> Result<Counts> {
        Ok(self.tenant.world.counts_in(&[&self.utils, &self.prod], since).await?.0)
    }
}

/// How often the operator said that a watch was broken off, so far.
fn interruptions(world: &World) -> usize {
    world.testbed.operator_logs().matches("the watch was interrupted").count()
}

/// What happened to one user.
fn concerning<'c>(calls: &'c [Call], user: &str) -> Vec<&'c str> {
    let of_user = calls.iter().filter(|call| call.parameters.get("UserName").is_some_and(|name| name == user));
    of_user.filter(|call| !call.is_read()).map(|call| call.operation.as_str()).collect()
}

#[tokio::test]
async fn row_60_what_is_declared_around_a_restart_of_the_api_server_is_carried_out() -> Result<()> {
    let world = World::own().await?;
    let recipe = Recipe::new(&world).await?;
    let (tenant, control_plane, gate) = (&recipe.tenant, &world.testbed.control_plane, world.gate().await?);
    let mut stepper = recipe.make(&gate, world.operator()?).await?;
    let (ids, since) = (recipe.ids().await?, world.last_call().await?);

    // At rest: nothing happens by itself, and what is declared as soon as there is somebody to take it is done.
    control_plane.stop_api_server();
    world
        .testbed
        .wait_for("the operator has lost its watches", || async {
            let count = interruptions(&world);
            Ok(Seen::from_option((count > 0).then_some(()), || "no watch was interrupted".to_owned()))
        })
        .await?;
    control_plane.start_api_server().await?;
    assert_eq!(recipe.writes(since).await?, Counts::new());
    stepper.expect(&recipe.granted(&["alice", "bob"]), &recipe.granted(&["alice", "carol"]));
    let changed = recipe.user("carol") + &recipe.reader(&["alice", "carol"], "description: after");
    stepper.during(async { recipe.ready(&changed, &["alice", "bob", "carol"]).await }).await?;
    stepper.during(async { tenant.delete(&["bastionuser/bob"]).await }).await?;
    let calls = world.calls_in(&recipe.utils, since).await?;
    assert_eq!(concerning(&calls, "alice"), Vec::<&str>::new());
    assert_eq!(concerning(&calls, "carol"), ["CreateUser", "PutUserPolicy"]);
    let writes = recipe.writes(since).await?;
    ensure!(!writes.keys().any(|operation| ["CreateRole", "DeleteRole", "CreatePolicy", "DeletePolicy"].contains(&operation.as_str())), "{writes:?}");
    recipe.only_bob_is_gone(&ids).await?;

    // At work: AWS has made the user when there is nobody to tell it to.
    stepper.relax().await?;
    stepper.expect(&recipe.granted(&["alice", "carol"]), &recipe.granted(&["alice", "carol", "dave"]));
    let (aws, since) = (&world.testbed.aws, world.last_call().await?);
    let fault = aws.inject(&Fault::of(FaultKind::Hold, "CreateUser").in_account(&recipe.utils.id).after()).await?;
    tenant.apply(&(recipe.user("dave") + &recipe.reader(&["alice", "carol", "dave"], "description: after"))).await?;
    world
        .testbed
        .wait_for("the user is made and nobody knows it", || async {
            let held = aws.faults().await?.iter().any(|status| status.id == fault && status.held > 0);
            Ok(Seen::from_option(held.then_some(()), || "no call is held".to_owned()))
        })
        .await?;
    control_plane.stop_api_server();
    aws.clear_faults().await?;
    world
        .testbed
        .wait_for("the operator goes on with what it knows", || async {
            let writes = recipe.writes(since).await?;
            Ok(Seen::from_option(writes.contains_key("CreateUser").then_some(()), || format!("{writes:?}")))
        })
        .await?;
    control_plane.start_api_server().await?;
    stepper
        .during(async {
            tenant.ready(&tenant.users(), "dave").await?;
            tenant.ready(&tenant.roles(), "reader").await.map(drop)
        })
        .await?;
    assert_eq!(recipe.writes(since).await?, once(&["CreateUser", "UpdateAssumeRolePolicy", "PutUserPolicy"]));
    stepper.finish().await?.ensure_running()
}

#[tokio::test]
async fn row_60_what_is_declared_while_watches_are_broken_off_is_carried_out() -> Result<()> {
    let world = World::own().await?;
    let recipe = Recipe::new(&world).await?;
    let (tenant, control_plane, gate) = (&recipe.tenant, &world.testbed.control_plane, world.gate().await?);
    let mut stepper = recipe.make(&gate, world.operator_by(gate.kubeconfig())?).await?;
    let (ids, since) = (recipe.ids().await?, world.last_call().await?);

    // The watches end, and go on where they were.
    gate.shut_watches_out();
    stepper.expect(&recipe.granted(&["alice", "bob"]), &recipe.granted(&["alice"]));
    tenant.apply(&recipe.reader(&["alice"], "")).await?;
    ensure!(recipe.writes(since).await?.is_empty(), "the operator knows what it cannot know");
    gate.let_watches_in();
    stepper.during(async { recipe.ready(&recipe.reader(&["alice"], ""), &["alice", "bob"]).await }).await?;
    let expired = || world.testbed.operator_logs().matches("too old resource version").count();
    assert_eq!(expired(), 0);

    // What was missed is not to be had any more: the new API server remembers no events of before (410 Gone), and everything is listed anew.
    let since_the_list = world.last_call().await?;
    gate.shut_watches_out();
    stepper.expect(&recipe.granted(&["alice"]), &recipe.granted(&["alice", "carol"]));
    let changed = recipe.user("carol") + &recipe.reader(&["alice", "carol"], "description: after");
    tenant.apply(&format!("{}\n{changed}", config_map("policies", "list.json", READ))).await?;
    tenant.delete(&["bastionuser/bob", "--wait=false"]).await?;
    control_plane.stop_api_server();
    control_plane.start_api_server().await?;
    ensure!(recipe.writes(since_the_list).await?.is_empty(), "the operator knows what it cannot know");
    gate.let_watches_in();
    stepper
        .during(async {
            recipe.ready(&changed, &["alice", "carol"]).await?;
            // The watch of ConfigMaps comes back by itself, after that of roles or before.
            let followed = || async {
                let writes = recipe.writes(since_the_list).await?;
                Ok(Seen::from_option(writes.contains_key("CreatePolicyVersion").then_some(()), || format!("{writes:?}")))
            };
            world.testbed.wait_for("the text of the ConfigMap is in AWS", followed).await?;
            tenant.delete(&["bastionuser/bob", "--ignore-not-found"]).await
        })
        .await?;
    ensure!(expired() > 0, "no watch was told that it is too late");
    let calls = world.calls_in(&recipe.utils, since).await?;
    assert_eq!(concerning(&calls, "alice"), Vec::<&str>::new());
    assert_eq!(concerning(&calls, "carol"), ["CreateUser", "PutUserPolicy"]);
    let writes = recipe.writes(since_the_list).await?;
    assert_eq!((writes.get("CreatePolicyVersion"), writes.get("UpdateRole")), (Some(&1), Some(&1)));
    ensure!(!writes.keys().any(|operation| ["CreateRole", "DeleteRole", "CreatePolicy", "DeletePolicy"].contains(&operation.as_str())), "{writes:?}");
    recipe.only_bob_is_gone(&ids).await?;
    stepper.finish().await?.ensure_running()
}

#[tokio::test]
async fn row_60_a_status_that_meets_a_newer_version_of_its_object_is_written_anew() -> Result<()> {
    let world = World::own().await?;
    let recipe = Recipe::new(&world).await?;
    let (tenant, gate) = (&recipe.tenant, world.gate().await?);
    let mut stepper = recipe.make(&gate, world.operator_by(gate.kubeconfig())?).await?;
    stepper.relax().await?;
    let since = world.last_call().await?;

    gate.hold(1, FaultWhen::Before);
    tenant.apply(&recipe.reader(&["alice", "bob"], "description: after")).await?;
    world
        .testbed
        .wait_for("the status is about to be written", || async {
            Ok(Seen::from_option(gate.is_holding().then_some(()), || "no write is held".to_owned()))
        })
        .await?;
    let before = tenant.roles().get("reader").await?;
    world.testbed.kubectl(&["annotate", "--namespace", &tenant.namespace, "crossaccountrole/reader", "example.com/changed=meanwhile"]).await?;
    gate.open();
    let role = tenant.ready(&tenant.roles(), "reader").await?;
    assert_eq!(role.annotations()["example.com/changed"], "meanwhile");
    assert_eq!(role.status.context("no status")?.role_id, before.status.context("no status")?.role_id);
    let writes = tenant.operator_writes().await?;
    let to_status: Vec<u16> =
        writes["crossaccountroles/reader"].iter().filter(|write| write.subresource == "status").map(|write| write.code).collect();
    ensure!(to_status.ends_with(&[409, 200]), "{to_status:?}");
    assert_eq!(recipe.writes(since).await?, once(&["UpdateRole"]));
    stepper.arm(Strike::None).await?;
    stepper.finish().await?.ensure_running()
}

/// What the operator knows is old, and everything moves on: the spec, and the objects that there are.
#[tokio::test]
async fn row_60_with_a_stale_watch_nothing_is_told_of_what_is_not_known_and_few_try() -> Result<()> {
    let world = World::own().await?;
    let recipe = Recipe::new(&world).await?;
    let (tenant, gate) = (&recipe.tenant, world.gate().await?);
    let mut stepper = recipe.make(&gate, world.operator_by(gate.kubeconfig())?).await?;
    let ids = recipe.ids().await?;
    stepper.relax().await?;
    gate.hold(1, FaultWhen::Before);
    tenant.apply(&recipe.reader(&["alice", "bob"], "description: first")).await?;
    let is_held = || async { Ok(Seen::from_option(gate.is_holding().then_some(()), || "no write is held".to_owned())) };
    world.testbed.wait_for("the status is about to be written", is_held).await?;
    gate.shut_watches_out();
    stepper.expect(&recipe.granted(&["alice", "bob"]), &recipe.granted(&["alice", "carol"]));
    let changed = recipe.user("carol") + &recipe.reader(&["alice", "carol"], "description: second");
    tenant.apply(&changed).await?;
    tenant.delete(&["bastionuser/bob", "--wait=false"]).await?;
    let since = world.last_call().await?;
    gate.open();

    // The status is refused, as it speaks of what the object was; and the operator waits for the watch instead of insisting.
    let refused = async || -> Result<usize> {
        let writes = tenant.operator_writes().await?;
        Ok(writes["crossaccountroles/reader"].iter().filter(|write| write.code == 409).count())
    };
    let is_refused = || async { Ok(Seen::from_option((refused().await? > 0).then_some(()), || "no write was refused".to_owned())) };
    world.testbed.wait_for("the status is refused", is_refused).await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let count = refused().await?;
    ensure!(count <= 10, "{count} times the operator has written what it had been told not to");
    assert_eq!(recipe.writes(since).await?, Counts::new());
    let stale = tenant.roles().get("reader").await?;
    let status = stale.status.as_ref().context("no status")?;
    ensure!(status.observed_generation < stale.metadata.generation.unwrap_or_default(), "{status:?}");

    stepper.arm(Strike::None).await?;
    gate.let_watches_in();
    stepper.during(async { recipe.ready(&changed, &["alice", "carol"]).await }).await?;
    stepper.during(async { tenant.delete(&["bastionuser/bob", "--ignore-not-found"]).await }).await?;
    recipe.only_bob_is_gone(&ids).await?;
    stepper.finish().await?.ensure_running()
}
