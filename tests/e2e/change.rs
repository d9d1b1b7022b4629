//! What is declared anew is followed with the calls that it takes and no other, and nobody loses or gains anything on the way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use rolebridge_testbed::{ApiGate, Seen};
use serde_json::json;

use crate::{
    invariants::{Grants, grants},
    stepper::Stepper,
    support::{Account, Counts, LIST, READ, Tenant, World, bastion_user, config_map, cross_account_role, once},
};

const BOUNDARY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

/// How long nothing may be called until a change counts as over.
const QUIET: Duration = Duration::from_millis(1200);

const BY_ALICE: &str = "{user: {name: alice}}";
const BY_BOTH: &str = "{user: {name: alice}}, {user: {name: bob}}";

/// Two users and a role, and the supervised operator that looks after them.
struct Scene<'w> {
    tenant: &'w Tenant<'w>,
    utils: &'w Account,
    prod: &'w Account,
    stepper: Stepper<'w>,
    granted: Grants,
}

impl<'w> Scene<'w> {
    /// The role as it is at first, trusting alice.
    async fn start(gate: &'w ApiGate, tenant: &'w Tenant<'w>, utils: &'w Account, prod: &'w Account) -> Result<Self> {
        let world = tenant.world;
        for account in [utils, prod] {
            account.iam.create_policy().policy_name("boundary").policy_document(BOUNDARY).send().await?;
            let selector = format!("{{from: Selector, selector: {{matchLabels: {{team: {}}}}}}}", tenant.namespace);
            tenant.apply(&account.manifest(&selector, "")).await?;
        }
        label(tenant, true).await?;
        let operator = world.operator_by(gate.kubeconfig())?;
        let stepper = Stepper::new(world, gate, operator, tenant, vec![utils, prod]).await?;
        let mut scene = Self { tenant, utils, prod, stepper, granted: Grants::new() };
        let users = bastion_user("alice", utils, "tags: {team: data}") + &bastion_user("bob", utils, "");
        let everything = format!("{}\n{users}{}", config_map("policies", "list.json", LIST), role(prod, BY_ALICE, &Role::default()));
        // It has several policies, so that nobody is trusted before all of them are there.
        let of_role = ["CreatePolicy", "CreateRole", "PutRolePolicy", "AttachRolePolicy", "UpdateAssumeRolePolicy"];
        let writes = [&["CreateUser", "CreateUser", "PutUserPolicy"][..], &of_role].concat();
        let alice = scene.of(&["alice"]);
        scene.change("create", &everything, &writes, &alice, "Ready").await?;
        Ok(scene)
    }

    /// The grants of these users to the role.
    fn of(&self, users: &[&str]) -> Grants {
        let users: Vec<String> = users.iter().map(|name| self.utils.arn(&format!("user/{name}"))).collect();
        grants(&users, &[self.prod.arn("role/reader")])
    }

    /// Applies a manifest and asserts that exactly these calls are made for it, nothing is read that is known, and the role says `reason` in the end.
    async fn change(&mut self, what: &str, manifest: &str, writes: &[&str], granted: &Grants, reason: &str) -> Result<()> {
        let tenant = self.tenant;
        self.follow(what, tenant.apply(manifest), writes, granted, reason).await
    }

    /// The same, for what is changed in another way.
    async fn follow(&mut self, what: &str, change: impl Future<Output = Result<()>>, writes: &[&str], granted: &Grants, reason: &str) -> Result<()> {
        let (world, tenant, accounts) = (self.tenant.world, self.tenant, [self.utils, self.prod]);
        let since = world.last_call().await?;
        let mut expected = Counts::new();
        writes.iter().for_each(|operation| *expected.entry((*operation).to_owned()).or_default() += 1);
        self.stepper.expect(&self.granted, granted);
        let done = async {
            change.await?;
            tenant.concluded(&tenant.roles(), "reader", reason).await?;
            let enough = || async {
                let (made, _) = world.counts_in(&accounts, since).await?;
                let enough = expected.iter().all(|(operation, n)| made.get(operation).is_some_and(|made| made >= n));
                Ok(Seen::from_option(enough.then_some(()), || format!("{made:?}, wanted {expected:?}")))
            };
            world.testbed.wait_for(&format!("{what}: the calls are made"), enough).await?;
            tenant.quiet(QUIET).await?;
            tenant.concluded(&tenant.roles(), "reader", reason).await.map(drop)
        };
        self.stepper.during(done).await.with_context(|| what.to_owned())?;
        let (made, read) = world.counts_in(&accounts, since).await?;
        ensure!(made == expected, "{what}: {made:?} were called, not {expected:?}");
        // Whose a policy of the account is that comes on is read, once for all who get it.
        let comes_on = writes.iter().any(|write| write.starts_with("Put") && write.ends_with("PermissionsBoundary"));
        let whose = if comes_on { once(&["GetPolicy", "GetPolicyVersion", "ListPolicyVersions"]) } else { Counts::new() };
        ensure!(read == whose, "{what}: {read:?} were read, not {whose:?}");
        self.stepper.expect(granted, granted);
        self.stepper.during(async { Ok(()) }).await.with_context(|| format!("{what}: in the end"))?;
        self.granted = granted.clone();
        Ok(())
    }
}

/// The parts of a role that change.
#[derive(Clone, Copy)]
struct Role<'t> {
    description: &'t str,
    tags: &'t str,
    /// Further fields of the spec, each with a comma behind it.
    more: &'t str,
    attached: &'t str,
    managed: &'t str,
    inline: &'t str,
}

const MANAGED: &str = "{name: list, configMapKeyRef: {name: policies, key: list.json}}";
const TWO_MANAGED: &str = "{name: list, configMapKeyRef: {name: policies, key: list.json}}, {name: read, document: {Version: '2012-10-17', \
                           Statement: [{Effect: Allow, Action: 's3:GetObject', Resource: '*'}]}}";

impl Default for Role<'_> {
    fn default() -> Self {
        Self { description: "first", tags: "{team: data, stage: one}", more: "", attached: "", managed: MANAGED, inline: LIST }
    }
}

fn role(prod: &Account, sources: &str, role: &Role<'_>) -> String {
    let Role { description, tags, more, attached, managed, inline } = role;
    let permissions =
        format!("attachedPolicies: [{attached}], customerManagedPolicies: [{managed}], inlinePolicies: [{{name: own, json: '{inline}'}}]");
    cross_account_role("reader", prod, sources, &format!("description: {description}, tags: {tags}, {more} permissions: {{{permissions}}}"))
}

/// Sets or removes the label by which the accounts let the namespace in.
async fn label(tenant: &Tenant<'_>, there: bool) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"team": there.then_some(&tenant.namespace)}}});
    let namespaces: Api<Namespace> = Api::all(tenant.client.clone());
    namespaces.patch(&tenant.namespace, &PatchParams::default(), &Patch::Merge(labels)).await?;
    Ok(())
}

#[tokio::test]
async fn each_change_takes_the_calls_that_it_needs_and_no_other() -> Result<()> {
    let world = World::own().await?;
    let gate = world.gate().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let mut scene = Scene::start(&gate, &tenant, &utils, &prod).await?;
    let (alice, both) = (scene.of(&["alice"]), scene.of(&["alice", "bob"]));
    let first = Role::default();

    scene.change("a user added", &role(&prod, BY_BOTH, &first), &["PutUserPolicy", "UpdateAssumeRolePolicy"], &both, "Ready").await?;
    scene.change("a user removed", &role(&prod, BY_ALICE, &first), &["UpdateAssumeRolePolicy", "DeleteUserPolicy"], &alice, "Ready").await?;

    let second = Role { description: "second", ..first };
    scene.change("description", &role(&prod, BY_ALICE, &second), &["UpdateRole"], &alice, "Ready").await?;
    let longer = Role { more: "maxSessionDuration: 2h,", ..second };
    scene.change("session duration", &role(&prod, BY_ALICE, &longer), &["UpdateRole"], &alice, "Ready").await?;
    scene.change("session duration back", &role(&prod, BY_ALICE, &second), &["UpdateRole"], &alice, "Ready").await?;
    let retagged = Role { tags: "{team: web, place: here}", ..second };
    let writes = ["UntagRole", "TagRole", "UntagPolicy", "TagPolicy"];
    scene.change("tags", &role(&prod, BY_ALICE, &retagged), &writes, &alice, "Ready").await?;

    let within = format!("permissionsBoundaryARN: '{}',", prod.arn("policy/boundary"));
    let bounded = Role { more: &within, ..retagged };
    scene.change("boundary", &role(&prod, BY_ALICE, &bounded), &["PutRolePermissionsBoundary"], &alice, "Ready").await?;
    scene.change("no boundary", &role(&prod, BY_ALICE, &retagged), &["DeleteRolePermissionsBoundary"], &alice, "Ready").await?;

    let reading = Role { inline: READ, ..retagged };
    scene.change("inline policy", &role(&prod, BY_ALICE, &reading), &["PutRolePolicy"], &alice, "Ready").await?;
    scene.change("ConfigMap", &config_map("policies", "list.json", READ), &["CreatePolicyVersion"], &alice, "Ready").await?;
    let attached = Role { attached: "ReadOnlyAccess", ..reading };
    scene.change("attached", &role(&prod, BY_ALICE, &attached), &["AttachRolePolicy"], &alice, "Ready").await?;
    scene.change("detached", &role(&prod, BY_ALICE, &reading), &["DetachRolePolicy"], &alice, "Ready").await?;
    let more = Role { managed: TWO_MANAGED, ..reading };
    scene.change("one more policy", &role(&prod, BY_ALICE, &more), &["CreatePolicy", "AttachRolePolicy"], &alice, "Ready").await?;
    scene.change("one policy less", &role(&prod, BY_ALICE, &reading), &["DetachRolePolicy", "DeletePolicy"], &alice, "Ready").await?;

    let user = bastion_user("alice", &utils, "tags: {team: web}");
    scene.change("a user's tag", &user, &["TagUser"], &alice, "Ready").await?;
    let user = bastion_user("alice", &utils, &format!("permissionsBoundaryARN: '{}'", utils.arn("policy/boundary")));
    scene.change("a user's boundary", &user, &["UntagUser", "PutUserPermissionsBoundary"], &alice, "Ready").await?;
    scene.change("a user's boundary taken away", &bastion_user("alice", &utils, ""), &["DeleteUserPermissionsBoundary"], &alice, "Ready").await?;

    // Much at once: the newcomer comes in when everything is as declared, and who stays never leaves.
    let bob = scene.of(&["bob"]);
    let writes = ["PutUserPolicy", "UpdateAssumeRolePolicy", "UpdateAssumeRolePolicy", "PutRolePolicy", "UpdateRole", "DeleteUserPolicy"];
    let other = Role { description: "third", inline: LIST, ..retagged };
    scene.change("one user for another", &role(&prod, "{user: {name: bob}}", &other), &writes, &bob, "Ready").await
}

/// What is taken away goes at once, whatever else is wrong with the role.
#[tokio::test]
async fn revocation_proceeds_whatever_check_fails() -> Result<()> {
    let world = World::own().await?;
    let gate = world.gate().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let mut scene = Scene::start(&gate, &tenant, &utils, &prod).await?;
    let (alice, both) = (scene.of(&["alice"]), scene.of(&["alice", "bob"]));
    let (with_both, with_alice) = (role(&prod, BY_BOTH, &Role::default()), role(&prod, BY_ALICE, &Role::default()));
    let good = config_map("policies", "list.json", LIST);
    let (add, remove) = (["PutUserPolicy", "UpdateAssumeRolePolicy"], ["UpdateAssumeRolePolicy", "DeleteUserPolicy"]);

    scene.change("bob comes", &with_both, &add, &both, "Ready").await?;
    let broken = config_map("policies", "list.json", "{");
    scene.change("the document breaks", &broken, &[], &both, "InvalidDocument").await?;
    scene.change("bob goes all the same", &with_alice, &remove, &alice, "InvalidDocument").await?;
    scene.change("the document is repaired", &good, &[], &alice, "Ready").await?;

    scene.change("bob comes again", &with_both, &add, &both, "Ready").await?;
    scene.follow("the ConfigMap goes", tenant.delete(&["configmap/policies"]), &[], &both, "ConfigMapNotFound").await?;
    scene.change("bob goes without it", &with_alice, &remove, &alice, "ConfigMapNotFound").await?;
    scene.change("the ConfigMap comes back", &good, &[], &alice, "Ready").await?;

    scene.change("bob comes a third time", &with_both, &add, &both, "Ready").await?;
    scene.follow("the namespace is let in no more", label(&tenant, false), &[], &both, "NamespaceNotAllowed").await?;
    scene.change("bob goes from a frozen role", &with_alice, &remove, &alice, "NamespaceNotAllowed").await?;
    scene.change("and does not come back to it", &with_both, &[], &alice, "NamespaceNotAllowed").await?;
    scene.follow("the namespace is let in again", label(&tenant, true), &add, &both, "Ready").await
}

/// A user of one namespace and a role of another.
#[tokio::test]
async fn a_user_that_is_no_longer_shared_leaves_the_roles_of_others() -> Result<()> {
    let world = World::own().await?;
    let gate = world.gate().await?;
    let (tenant, others) = (world.tenant().await?, world.tenant().await?);
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let namespaces = format!("{{from: Names, names: [{}, {}]}}", tenant.namespace, others.namespace);
    tenant.apply(&(utils.manifest(&namespaces, "") + &prod.manifest(&namespaces, ""))).await?;
    let mut stepper = Stepper::new(&world, &gate, world.operator_by(gate.kubeconfig())?, &tenant, vec![&utils, &prod]).await?;
    let granted = grants(&[utils.arn("user/alice")], &[prod.arn("role/reader")]);
    let sharing = |names: &str| bastion_user("alice", &utils, &format!("allowRolesFrom: {{from: Names, names: [{names}]}}"));
    let source = format!("{{user: {{name: alice, namespace: {}}}}}", tenant.namespace);

    stepper.expect(&Grants::new(), &granted);
    stepper
        .during(async {
            tenant.apply(&sharing(&others.namespace)).await?;
            others.apply(&cross_account_role("reader", &prod, &source, "")).await?;
            others.ready(&others.roles(), "reader").await.map(drop)
        })
        .await?;
    let since = world.last_call().await?;
    stepper.expect(&granted, &Grants::new());
    stepper
        .during(async {
            tenant.apply(&sharing("somebody-else")).await?;
            others.concluded(&others.roles(), "reader", "SourceNotAllowed").await?;
            tenant.quiet(QUIET).await
        })
        .await?;
    stepper.expect(&Grants::new(), &Grants::new());
    stepper.during(async { Ok(()) }).await?;
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    assert_eq!(writes, once(&["UpdateAssumeRolePolicy", "DeleteUserPolicy"]));

    let since = world.last_call().await?;
    stepper.expect(&Grants::new(), &granted);
    stepper
        .during(async {
            tenant.apply(&sharing(&others.namespace)).await?;
            others.ready(&others.roles(), "reader").await?;
            tenant.quiet(QUIET).await
        })
        .await?;
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    assert_eq!(writes, once(&["PutUserPolicy", "UpdateAssumeRolePolicy"]));
    Ok(())
}
