//! What happens in the demo, step by step.

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rolebridge_testbed::{
    Operator, Testbed, TestbedOptions,
    aws_sim::{AccountState, State},
    charts::{NAMESPACE, RELEASE},
};

use crate::{
    aws::{self, PROD, PROD_BUCKETS, UTILS},
    proof::{Expect, Proofs},
    screen::Screen,
    shell::Shell,
};

const EXAMPLE: &str = "examples/classic";
const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/s3-list-role";
const ROLE_ELSEWHERE: &str = "arn:aws:iam::333333333333:role/s3-list-role";

/// How many lines of the operator's log an explanation shows.
const LOG_LINES: usize = 25;

/// Everything that is running, and what has been proven so far.
pub struct Story {
    screen: Screen,
    shell: Shell,
    proofs: Proofs,
    /// What AWS held before Rolebridge did anything.
    before: State,
    // Dropped in this order: the operator before what it talks to.
    operator: Operator,
    testbed: Testbed,
}

impl Story {
    /// From nothing to the recipe working. Returns whether every proof held; an error where the story cannot go on.
    pub async fn tell(screen: &Screen, operator: &Path) -> Result<(Self, bool)> {
        screen.text("Rolebridge: the classic recipe of two accounts, on a real Kubernetes API server and an AWS that enforces policies.");
        screen.text("AWS is a simulator on this machine: no real account is touched. Every command below is run as it is printed.");
        let mut story = Self::set_the_scene(*screen, operator).await?;
        let told = story.go_through_the_recipe().await;
        story.explain(told)?;
        let held = story.proofs.held();
        Ok((story, held))
    }

    async fn set_the_scene(screen: Screen, binary: &Path) -> Result<Self> {
        screen.heading("A cluster and an AWS");
        let start = Instant::now();
        let testbed = Testbed::start(TestbedOptions { controller_manager: true }).await.context("starting the testbed")?;
        let shell = Shell::new(screen, &testbed).await.context("installing Helm and the AWS CLI")?;
        aws::create_accounts(&shell, &testbed).await?;
        screen.text(&format!("  etcd, kube-apiserver, kube-controller-manager and AWS are ready ({:.0} s).", start.elapsed().as_secs_f64()));

        screen.heading(
            "AWS is prepared by a person: a user for the operator, in an account of its own, and the management role that it assumes in the others",
        );
        let key = aws::create_management_roles(&shell).await?;
        screen.heading("Buckets in both accounts, and two that must stay out: another user, and a role of the same name elsewhere");
        aws::create_surroundings(&shell).await?;
        aws::create_another_user(&shell).await?;
        aws::create_role_elsewhere(&shell).await?;
        let before = testbed.aws.state().await?;
        testbed.aws.clear_calls().await?;

        screen.heading("Rolebridge is installed and started");
        let into = format!("--namespace {NAMESPACE} --hide-notes");
        shell.run(&format!("helm install rolebridge-crds charts/rolebridge-crds {into} --create-namespace")).await?;
        shell.run("kubectl wait --for=condition=Established --timeout=60s crd --all").await?;
        shell.run(&format!("helm install {RELEASE} charts/rolebridge {into} --set image.repository=none --set installation=demo")).await?;
        screen.text(
            "  Nothing runs Pods here, so the operator runs beside the cluster, with the token of the chart's service account and its rights only:",
        );
        let token = testbed.control_plane.service_account_token(NAMESPACE, RELEASE).await?;
        let kubeconfig = testbed.control_plane.kubeconfig_for_token("operator", &token)?;
        screen.command("rolebridge run --installation demo &");
        let mut environment = testbed.aws.environment_for(&key);
        // Its log is for a person to read here, not for a collector.
        environment.extend([("ROLEBRIDGE_LOG_FORMAT", "text".to_owned()), ("NO_COLOR", "1".to_owned())]);
        let operator = testbed.operator(binary, &kubeconfig, &environment, &["run", "--installation", "demo"])?;
        Ok(Self { screen, shell, proofs: Proofs::new(screen), before, operator, testbed })
    }

    async fn go_through_the_recipe(&mut self) -> Result<()> {
        self.apply().await?;
        self.prove_the_grant().await?;
        self.prove_the_refusals().await?;
        self.withdraw_and_restore().await
    }

    async fn apply(&self) -> Result<()> {
        self.screen.heading("The recipe is applied: two accounts, a user, a role");
        self.shell.run(&format!("kubectl apply -k {EXAMPLE}")).await?;
        let start = Instant::now();
        // An operator that ends makes nothing Ready: waiting on would only hide why.
        let waited = tokio::select! {
            waited = self.shell.run("kubectl wait awsacct,buser,car --all -A --for=condition=Ready --timeout=120s") => waited,
            status = self.end_of_operator() => Err(anyhow!("the operator ended ({status}) instead of running")),
        };
        if waited.is_err() {
            self.shell.run("kubectl get awsacct,buser,car -A -o wide").await?;
        }
        waited.context("what to do: MESSAGE in the table above says what each resource waits for; the log below, what the operator met")?;
        self.screen.text(&format!("  Everything is Ready, {:.1} s after it was applied.", start.elapsed().as_secs_f64()));
        self.shell.run("kubectl get awsacct,buser,car -A").await?;
        self.show_calls().await
    }

    async fn end_of_operator(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.operator.exit_status() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What Rolebridge has asked of AWS, as the simulator's log has it.
    async fn show_calls(&self) -> Result<()> {
        let calls = self.testbed.aws.calls(0).await?;
        let operators = |arn: &str| arn.contains(":user/rolebridge-operator") || arn.contains(":assumed-role/rolebridge/");
        let operations: Vec<_> = calls
            .iter()
            .filter(|call| call.principal.as_deref().is_some_and(operators))
            .map(|call| format!("{}{}", call.operation, call.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()))
            .collect();
        self.screen.text(&format!("  {} calls to AWS did it: {}.", operations.len(), operations.join(", ")));
        Ok(())
    }

    async fn prove_the_grant(&mut self) -> Result<()> {
        self.screen.heading("Prod's administrator finds the role, utils' administrator gives the user a key");
        let hint = "`kubectl describe car -n classic s3-list-role` tells what became of the role";
        let list = format!("aws --profile {PROD} iam list-roles --query 'Roles[].[Arn]' --output text");
        self.prove("prod's administrator sees the role", &list, Expect::Word(ROLE_ARN), hint).await?;
        let key = aws::create_access_key(&self.shell, UTILS, "random_user").await?;
        self.shell.save_profile("random_user", &key)?;
        self.screen.text("  Its key is saved as the profile random_user.");

        self.screen.heading("The user assumes the role and lists prod's buckets");
        let hint = "`kubectl get car -n classic s3-list-role -o yaml` shows what the role may do";
        let session = self.assume_role().await?;
        let identity = "aws sts get-caller-identity --query Arn --output text";
        let arn = "arn:aws:sts::222222222222:assumed-role/s3-list-role/demo";
        self.prove_as(&session, "random_user is s3-list-role in prod now", identity, Expect::Words(&[arn]), hint).await?;
        let buckets = "aws s3api list-buckets --query 'Buckets[].Name' --output text";
        self.prove_as(&session, "the role lists prod's buckets and no others", buckets, Expect::Words(&PROD_BUCKETS), hint).await?;
        let hint = "the role may do more than s3:ListAllMyBuckets: look for policies beside s3_list_all";
        self.prove_as(&session, "refused: another action in the role", "aws s3 mb s3://another-bucket", Expect::Refused, hint).await?;
        self.prove_as(&session, "refused: IAM in prod", "aws iam list-users", Expect::Refused, hint).await
    }

    /// Assumes the role as the user, and exports the three variables in a shell of its own.
    async fn assume_role(&mut self) -> Result<Shell> {
        let claim = "random_user assumes s3-list-role in prod";
        let hint = "`kubectl get buser,car -n classic -o yaml` shows both halves of the grant";
        let answer = self.shell.run(&assume("random_user", ROLE_ARN)).await;
        let objection = answer.as_ref().err().map(|error| format!("{error:#}"));
        self.proofs.judge(claim, objection, hint);
        Ok(self.shell.export(aws::session(&answer?)?))
    }

    async fn prove_the_refusals(&mut self) -> Result<()> {
        self.screen.heading("Nothing else is possible");
        let hint = "the user has more rights than its assume policy: look at `aws iam list-user-policies --user-name random_user`";
        let list = "aws --profile random_user iam list-roles";
        self.prove("refused: the user's own list-roles", list, Expect::Refused, hint).await?;
        let hint = "the user's assume policy allows more than prod's role, or the simulator did not evaluate it";
        let elsewhere = assume("random_user", ROLE_ELSEWHERE);
        let claim = "refused: a role of the same name in another account, though it trusts all of utils";
        self.prove(claim, &elsewhere, Expect::Refused, hint).await?;
        let hint = "the trust policy of s3-list-role names more than random_user";
        let claim = "refused: another user of utils, though its own policy allows every role";
        self.prove(claim, &assume("another_user", ROLE_ARN), Expect::Refused, hint).await
    }

    async fn withdraw_and_restore(&mut self) -> Result<()> {
        self.screen.heading("The grant is withdrawn, and given again");
        let patch = r#"[{"op": "replace", "path": "/spec/trust", "value": []}]"#;
        self.shell.run(&format!("kubectl patch car -n classic s3-list-role --type=json -p '{patch}'")).await?;
        self.shell.run("kubectl wait buser,car --all -n classic --for=condition=Ready --timeout=120s").await?;
        let hint = "`kubectl describe car -n classic s3-list-role` tells why AWS did not follow";
        let command = assume("random_user", ROLE_ARN);
        self.prove_in_time("refused: the same user, without the grant", &command, Expect::Refused, hint).await?;
        let policies = format!("aws --profile {UTILS} iam list-user-policies --user-name random_user --query 'PolicyNames[]' --output text");
        self.prove_in_time("the user's own half of the grant is gone, too", &policies, Expect::Words(&[]), hint).await?;
        self.shell.run(&format!("kubectl apply -k {EXAMPLE}")).await?;
        self.shell.run("kubectl wait buser,car --all -n classic --for=condition=Ready --timeout=120s").await?;
        let arn = "arn:aws:sts::222222222222:assumed-role/s3-list-role/demo";
        let command = format!("{command} --query AssumedRoleUser.Arn --output text");
        self.prove_in_time("with the grant restored the user assumes the role again", &command, Expect::Words(&[arn]), hint).await
    }

    /// Deletes the example, proves that AWS is as it was before, and sums up. Returns whether every proof held.
    pub async fn end(&mut self) -> Result<bool> {
        let deleted = self.delete().await;
        self.explain(deleted)?;
        self.screen.heading("The end");
        self.screen.text(&self.proofs.summary());
        self.screen.text("To go on exploring:");
        self.screen.text("  KEEP=1 make demo                                      keeps everything running and says how to use it");
        self.screen.text(&format!("  less {EXAMPLE}/README.md                       the recipe, for those who know it from Terraform"));
        self.screen.text("  cargo run -p rolebridge-testbed --bin testbed -- up   an empty cluster and AWS, to try things of your own");
        Ok(self.proofs.held())
    }

    async fn delete(&mut self) -> Result<()> {
        self.screen.heading("The recipe is deleted");
        self.shell.run(&format!("kubectl delete -k {EXAMPLE} --timeout=120s")).await?;
        let hint = "the operator's log says what it could not delete";
        let commands = [
            ("the user is gone, and the key that was made for it", format!("aws --profile {UTILS} iam get-user --user-name random_user")),
            ("the role is gone", format!("aws --profile {PROD} iam get-role --role-name s3-list-role")),
            ("its policy is gone", format!("aws --profile {PROD} iam get-policy --policy-arn arn:aws:iam::222222222222:policy/s3_list_all")),
        ];
        for (claim, command) in &commands {
            self.prove(claim, command, Expect::Absent, hint).await?;
        }
        let difference = difference(&self.before, &self.testbed.aws.state().await?);
        let objection = (!difference.is_empty()).then(|| format!("IAM in the four accounts is not what it was before:\n{}", difference.join("\n")));
        let held = self.proofs.judge("nothing else has changed: IAM in all accounts is as it was before the recipe", objection, hint);
        self.show_log_unless(held);
        Ok(())
    }

    /// Says how a person uses what is running.
    pub fn explain_how_to_go_on(&self) {
        self.screen.heading("Everything stays up until Ctrl-C");
        self.screen.text(&self.proofs.summary());
        self.screen.text("In another terminal, in the project's folder:");
        self.screen.text(&format!("  . {}", self.shell.environment_file().display()));
        self.screen.text("That sets KUBECONFIG, the endpoint of AWS and the CLI's profiles (utils-admin, prod-admin, stage-admin,");
        self.screen.text("random_user, another_user), and finds kubectl, helm and aws. Then, for example:");
        for command in [
            "kubectl get awsacct,buser,car -A -o wide",
            "kubectl describe car -n classic s3-list-role",
            "kubectl explain car.spec.trust",
            &format!("kubectl apply -k {EXAMPLE}-account-root"),
            &format!("aws --profile {PROD} iam get-role --role-name s3-list-role"),
            &assume("random_user", ROLE_ARN),
            &format!("curl -s {}/_sim/calls", self.testbed.aws.url()),
            &format!("less {}", self.operator.log_path().display()),
        ] {
            self.screen.command(command);
        }
        self.screen.text(&format!("KUBECONFIG={}", self.testbed.control_plane.kubeconfig().display()));
        for (name, value) in self.testbed.aws.environment() {
            self.screen.text(&format!("{name}={value}"));
        }
    }

    async fn prove(&mut self, claim: &str, command: &str, expect: Expect<'_>, hint: &str) -> Result<()> {
        let held = self.proofs.prove(&self.shell, claim, command, expect, hint).await?;
        self.show_log_unless(held);
        Ok(())
    }

    async fn prove_in_time(&mut self, claim: &str, command: &str, expect: Expect<'_>, hint: &str) -> Result<()> {
        let held = self.proofs.prove_in_time(&self.shell, claim, command, expect, hint).await?;
        self.show_log_unless(held);
        Ok(())
    }

    async fn prove_as(&mut self, shell: &Shell, claim: &str, command: &str, expect: Expect<'_>, hint: &str) -> Result<()> {
        let held = self.proofs.prove(shell, claim, command, expect, hint).await?;
        self.show_log_unless(held);
        Ok(())
    }

    fn show_log_unless(&self, held: bool) {
        if !held {
            self.screen.details(&self.log());
        }
    }

    /// The end of the operator's log, and how it ended where it did.
    fn log(&self) -> String {
        let log = self.operator.log();
        let lines: Vec<_> = log.lines().collect();
        let state = self.operator.exit_status().map_or_else(|| "is running".to_owned(), |status| format!("has ended ({status})"));
        format!("the operator {state}; the end of its log:\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    }

    /// Adds the end of the operator's log to an error.
    fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| self.log())
    }
}

fn assume(profile: &str, role: &str) -> String {
    format!("aws --profile {profile} sts assume-role --role-arn {role} --role-session-name demo")
}

/// What distinguishes two states of AWS, a line for each object.
fn difference(before: &State, after: &State) -> Vec<String> {
    let empty = AccountState::default();
    let accounts = before.accounts.keys().chain(after.accounts.keys()).collect::<BTreeSet<_>>();
    let objects = |account: &AccountState| [account.users.clone(), account.roles.clone(), account.policies.clone()].concat();
    let compare = |account: &String| {
        let (before, after) = (objects(before.accounts.get(account).unwrap_or(&empty)), objects(after.accounts.get(account).unwrap_or(&empty)));
        let lost = before.iter().filter(|object| !after.contains(object)).map(|object| format!("before, and not now: {object}"));
        let new = after.iter().filter(|object| !before.contains(object)).map(|object| format!("now, and not before: {object}"));
        lost.chain(new).map(|line| format!("account {account}: {line}")).collect::<Vec<_>>()
    };
    accounts.into_iter().flat_map(compare).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(users: &[serde_json::Value]) -> State {
        let account = AccountState { users: users.to_vec(), ..AccountState::default() };
        State { accounts: [("111111111111".to_owned(), account)].into() }
    }

    #[test]
    fn what_is_left_lost_or_changed_in_aws_is_told() {
        let one = state(&[json!({"userName": "one", "tags": {}})]);
        let changed = state(&[json!({"userName": "one", "tags": {"a": "b"}})]);
        assert!(difference(&one, &one).is_empty());
        assert_eq!(difference(&state(&[]), &one).len(), 1);
        assert_eq!(difference(&one, &state(&[])).len(), 1);
        assert_eq!(difference(&one, &changed).len(), 2);
        assert_eq!(difference(&State::default(), &one).len(), 1);
    }
}
