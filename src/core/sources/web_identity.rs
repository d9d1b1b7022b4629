//! Sources that an OIDC provider vouches for by a token. The provider is in the account of the role, since IAM looks for it there (IAM user guide, "Create a
//! role for OpenID Connect federation").

use super::Trusting;
use crate::grants::{Grant, Intent};
use crate::issuers::{Reach, reach};
use crate::names::Partition;
use crate::outcome::Problem;
use crate::trust::{Conditions, Principal};
use rolebridge_api::Reason;
use rolebridge_api::trust::{GitHubActionsSource, GitHubSubjects, OIDCSource, PipelineIssuer, PipelineSource, RunPhase, ServiceAccountSource};

const GITHUB: &str = "token.actions.githubusercontent.com";

/// What is wrong with a subject that names repositories of GitHub by names alone.
const NAMES_ALONE: &str = "without repositoryOwnerID and repositoryID whoever takes a name that became free comes in, and a repository made, renamed or moved \
                           since 15 July 2026 does not: gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id' tells them";
/// What is wrong with a subject that is open, of an issuer or audience of one's own.
const OPEN: &str =
    "the subject begins with a wildcard, so that whoever has a token of that provider for the audience comes in: write what theirs begin with";

/// What a token must say.
struct Token<'a> {
    /// ARN of the provider that gives it.
    provider: &'a str,
    audience: &'a str,
    /// The subjects, of which it has one.
    subjects: &'a [String],
    /// Its other claims.
    claims: &'a [(&'a str, &'a str)],
}

impl Trusting<'_> {
    /// Whoever has such a token.
    fn web_identity(&self, source: String, token: &Token<'_>) -> Grant {
        let &Token { provider, audience, subjects, claims } = token;
        if let Some(problem) = self.elsewhere(provider) {
            return Grant::absent(source, problem);
        }
        let issuer = issuer(provider);
        let names_session = self.required.names("sts:RoleSessionName");
        let mut warning = None;
        for subject in subjects {
            match reach(issuer, subject, names_session) {
                Reach::Named => {}
                Reach::Tenant => warning = Some(OPEN),
                Reach::Everybody(shared) => return Grant::absent(source, invalid(&shared.refusal(subject))),
            }
        }
        let own = Conditions::default().with("StringEquals", &format!("{issuer}:aud"), [audience]);
        let own = either(own, &format!("{issuer}:sub"), subjects);
        let own = claims.iter().fold(own, |own, (claim, pattern)| either(own, &format!("{issuer}:{claim}"), &[(*pattern).to_owned()]));
        Grant { warning, ..self.token(source, Principal::Federated(provider.into()), "sts:AssumeRoleWithWebIdentity", &own) }
    }

    pub(super) fn oidc(&self, source: &OIDCSource) -> Grant {
        let name = format!("oidc/{} of {}", source.subject, issuer(&source.provider_arn));
        let subjects = [source.subject.clone()];
        self.web_identity(name, &Token { provider: &source.provider_arn, audience: &source.audience, subjects: &subjects, claims: &[] })
    }

    /// IRSA: the subject and audience that EKS gives to tokens of service accounts (EKS user guide, "IAM roles for service accounts").
    pub(super) fn service_account(&self, source: &ServiceAccountSource) -> Grant {
        let (account, provider) = (format!("{}:{}", source.namespace, source.name), &source.oidc_provider_arn);
        let name = format!("serviceAccount/{}/{} of {}", source.namespace, source.name, issuer(provider));
        let subjects = [format!("system:serviceaccount:{account}")];
        self.web_identity(name, &Token { provider, audience: "sts.amazonaws.com", subjects: &subjects, claims: &[] })
    }

    /// GitHub Actions: the subjects that GitHub gives to its tokens (GitHub documentation, "OpenID Connect reference").
    pub(super) fn github_actions(&self, source: &GitHubActionsSource) -> Grant {
        let what = match (&source.environment, &source.git_ref) {
            (Some(environment), _) => format!("environment:{}", environment.replace(':', "%3A")),
            (None, git_ref) => format!("ref:{}", git_ref.as_deref().unwrap_or_default()),
        };
        let repository = &source.repository;
        let ids = source.repository_owner_id.as_deref().zip(source.repository_id.as_deref());
        let named = format!("repo:{repository}:{what}");
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        let immutable = ids.map(|(owner_id, id)| format!("repo:{owner}@{owner_id}/{name}@{id}:{what}"));
        let subjects = match (source.subjects, immutable) {
            (_, None) | (Some(GitHubSubjects::Named), _) => vec![named],
            (Some(GitHubSubjects::Immutable), Some(immutable)) => vec![immutable],
            (None | Some(GitHubSubjects::Both), Some(immutable)) => vec![named, immutable],
        };
        // Names are given again to others, IDs never.
        let bound = ids.filter(|_| source.subjects != Some(GitHubSubjects::Immutable));
        let bound = bound.into_iter().flat_map(|(owner, repository)| [("repository_owner_id", owner), ("repository_id", repository)]);
        let claims: Vec<_> = bound.chain(source.claims.iter().flat_map(|claims| claims.named())).collect();
        let provider = self.provider(GITHUB);
        let token = Token { provider: &provider, audience: sts_audience(&self.at.partition), subjects: &subjects, claims: &claims };
        let grant = self.web_identity(format!("githubActions/{repository}:{what}"), &token);
        let warning = grant.warning.or_else(|| ids.is_none().then_some(NAMES_ALONE));
        frozen_by(github_problem(source), Grant { warning, ..grant })
    }

    /// A pipeline of a service, by the subject and audience that its documentation tells.
    pub(super) fn pipeline(&self, source: &PipelineSource) -> Grant {
        let (organization, project) = (&source.organization, &source.project);
        let git_ref = source.git_ref.as_deref();
        let workspace = source.workspace.as_deref();
        let phase = source.run_phase.map(|phase| match phase {
            RunPhase::Plan => "plan",
            RunPhase::Apply => "apply",
        });
        let parts = [workspace, git_ref, source.environment.as_deref(), phase].into_iter().flatten();
        let name = parts.fold(format!("pipeline/{:?}/{organization}/{project}", source.issuer), |name, part| format!("{name}:{part}"));
        if let Some(problem) = incomplete(source) {
            return Grant::absent(name, problem);
        }
        let (issuer, audience, subject) = match source.issuer {
            PipelineIssuer::GitLab => {
                let (kind, git_ref) = match git_ref.unwrap_or_default().strip_prefix("refs/tags/") {
                    Some(tag) => ("tag", tag),
                    None => ("branch", git_ref.unwrap_or_default().strip_prefix("refs/heads/").unwrap_or_default()),
                };
                ("gitlab.com".into(), "https://gitlab.com".into(), format!("project_path:{organization}/{project}:ref_type:{kind}:ref:{git_ref}"))
            }
            PipelineIssuer::HCPTerraform => {
                let (workspace, phase) = (workspace.unwrap_or("*"), phase.unwrap_or("*"));
                let subject = format!("organization:{organization}:project:{project}:workspace:{workspace}:run_phase:{phase}");
                ("app.terraform.io".into(), "aws.workload.identity".into(), subject)
            }
            PipelineIssuer::Buildkite => {
                let subject = format!("organization:{organization}:pipeline:{project}:ref:{}:commit:*:step:*", git_ref.unwrap_or_default());
                ("agent.buildkite.com".into(), "sts.amazonaws.com".into(), subject)
            }
            PipelineIssuer::CircleCI => {
                (format!("oidc.circleci.com/org/{organization}"), organization.clone(), format!("org/{organization}/project/{project}/user/*"))
            }
            PipelineIssuer::Bitbucket => {
                let issuer = format!("api.bitbucket.org/2.0/workspaces/{organization}/pipelines-config/identity/oidc");
                let audience = format!("ari:cloud:bitbucket::workspace/{}", without_braces(workspace.unwrap_or_default()));
                let environment = source.environment.as_deref().map(|uuid| format!("{{{}}}:", without_braces(uuid)));
                (issuer, audience, format!("{{{}}}:{}*", without_braces(project), environment.unwrap_or_default()))
            }
        };
        let audience = source.audience.as_ref().unwrap_or(&audience);
        let grant = self.web_identity(name, &Token { provider: &self.provider(&issuer), audience, subjects: &[subject], claims: &[] });
        frozen_by(unknown_field(source), grant)
    }

    /// The provider in the role's account that stands for an issuer.
    fn provider(&self, issuer: &str) -> String {
        format!("arn:{}:iam::{}:oidc-provider/{issuer}", self.at.partition, self.at.id)
    }
}

fn invalid(message: &str) -> Problem {
    Problem::new(Reason::InvalidSpec, format!("spec.trust: {message}"))
}

/// A grant that is not added while something is wrong with what is said of its source, and stays where it stands.
fn frozen_by(problem: Option<Problem>, grant: Grant) -> Grant {
    match problem {
        Some(problem) if grant.intent == Intent::Grant => Grant { intent: Intent::Freeze, problem: Some(problem), ..grant },
        _ => grant,
    }
}

/// The audience that GitHub's action for AWS asks for ("Configure AWS Credentials" Action for GitHub Actions).
fn sts_audience(partition: &Partition) -> &'static str {
    if partition.as_str() == "aws-cn" { "sts.amazonaws.com.cn" } else { "sts.amazonaws.com" }
}

fn github_problem(source: &GitHubActionsSource) -> Option<Problem> {
    let GitHubActionsSource { repository, repository_owner_id: owner, repository_id: id, subjects, .. } = source;
    let is_id = |id: &&String| id.bytes().all(|byte| byte.is_ascii_digit()) && !id.is_empty();
    if owner.is_some() != id.is_some() {
        let missing = if owner.is_none() { "repositoryOwnerID" } else { "repositoryID" };
        return Some(invalid(&format!("githubActions.{missing} of {repository} is missing: set both IDs, or neither")));
    }
    if let Some(wrong) = [owner, id].into_iter().flatten().find(|id| !is_id(id)) {
        return Some(invalid(&format!("githubActions: {wrong} is no ID of a repository or its owner: IDs have digits only")));
    }
    let has_ids = subjects.is_some_and(|subjects| subjects != GitHubSubjects::Named);
    (has_ids && id.is_none()).then(|| {
        invalid(&format!(
            "githubActions.subjects of {repository}: subjects other than Named have IDs in them: set repositoryOwnerID and repositoryID, too"
        ))
    })
}

/// What a pipeline lacks to be told from others.
fn incomplete(source: &PipelineSource) -> Option<Problem> {
    let PipelineSource { issuer, organization, project, workspace, git_ref, environment, audience, .. } = source;
    let is_path = |text: &String| text.split('/').all(is_name);
    let is_in_braces = |text: &String| is_uuid(without_braces(text));
    let checks = match issuer {
        PipelineIssuer::GitLab => [is_path(organization), is_name(project)],
        PipelineIssuer::HCPTerraform | PipelineIssuer::Buildkite => [is_name(organization), is_name(project)],
        PipelineIssuer::CircleCI => [is_uuid(organization), is_uuid(project)],
        PipelineIssuer::Bitbucket => [is_name(organization), is_in_braces(project)],
    };
    let is_workspace = workspace.as_ref().is_none_or(|text| if *issuer == PipelineIssuer::Bitbucket { is_in_braces(text) } else { is_name(text) });
    let needs_ref = matches!(issuer, PipelineIssuer::GitLab | PipelineIssuer::Buildkite);
    let message = match checks {
        [false, _] => format!("organization: {organization} is no name or ID of {issuer:?}: write it as its URL or settings have it, a UUID in lower case"),
        [_, false] => format!("project: {project} is no name or ID of {issuer:?}: write it as its URL or settings have it, a UUID in lower case"),
        _ if !is_workspace => "workspace: it is a name of HCP Terraform, and the UUID of Bitbucket".to_owned(),
        _ if needs_ref && git_ref.is_none() => {
            "ref is missing: without it whoever may push a branch could assume the role; write for example refs/heads/main, or refs/heads/* for all branches".to_owned()
        }
        _ if git_ref.as_ref().is_some_and(|git_ref| !is_ref(git_ref)) => "ref: write for example refs/heads/main or refs/tags/v*".to_owned(),
        _ if environment.as_ref().is_some_and(|environment| !is_in_braces(environment)) => "environment: write the UUID of the deployment environment".to_owned(),
        _ if *issuer == PipelineIssuer::Bitbucket && workspace.is_none() && audience.is_none() => {
            "workspace is missing: set the UUID of the workspace, which the audience has, or the audience".to_owned()
        }
        _ => return None,
    };
    Some(invalid(&format!("pipeline.{message}")))
}

/// That a field is set of which the tokens of the issuer know nothing.
fn unknown_field(source: &PipelineSource) -> Option<Problem> {
    let known: &[&str] = match source.issuer {
        PipelineIssuer::GitLab | PipelineIssuer::Buildkite => &["ref"],
        PipelineIssuer::HCPTerraform => &["workspace", "runPhase"],
        PipelineIssuer::CircleCI => &[],
        PipelineIssuer::Bitbucket => &["workspace", "environment"],
    };
    let set = [
        ("workspace", source.workspace.is_some()),
        ("ref", source.git_ref.is_some()),
        ("environment", source.environment.is_some()),
        ("runPhase", source.run_phase.is_some()),
    ];
    if source.issuer == PipelineIssuer::Bitbucket && source.workspace.is_some() && source.audience.is_some() {
        return Some(invalid("pipeline.workspace: it is for the audience, which is set by itself: leave one of both out"));
    }
    let (field, _) = set.into_iter().find(|(field, is_set)| *is_set && !known.contains(field))?;
    Some(invalid(&format!("pipeline.{field}: the subjects of {:?} tell nothing of it, so that it would limit nobody: leave it out", source.issuer)))
}

/// Whether a text is a name with nothing in it that ends a part of a subject or is a pattern.
fn is_name(text: impl AsRef<str>) -> bool {
    let text = text.as_ref();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ._-".contains(&byte))
}

fn is_ref(text: &str) -> bool {
    let name = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/*-".contains(&byte)))
}

/// Whether a text is a UUID as tokens have it: conditions regard the case of letters.
fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || is_digit(byte))
}

/// A UUID without the braces that Bitbucket writes around it.
fn without_braces(uuid: &str) -> &str {
    uuid.strip_prefix('{').and_then(|uuid| uuid.strip_suffix('}')).unwrap_or(uuid)
}

/// The condition that a key matches one of several patterns. Only `StringLike` knows wildcards.
fn either(conditions: Conditions, key: &str, patterns: &[String]) -> Conditions {
    let operator = if patterns.iter().any(|pattern| pattern.contains(['*', '?'])) { "StringLike" } else { "StringEquals" };
    conditions.with(operator, key, patterns)
}

/// The issuer of tokens that an OIDC provider stands for, as condition keys name it.
fn issuer(provider: &str) -> &str {
    provider.split_once(":oidc-provider/").map_or(provider, |(_, issuer)| issuer)
}
