//! Who gives out tokens, and whose they are. Some issuers give tokens to everybody who has an account with them: what of a token tells the tenants apart is
//! required of everyone who trusts them. IAM asks merely that the claim is there (IAM user guide, "Identity-provider controls for shared OIDC providers").

/// An issuer that everybody can get tokens of.
#[derive(Debug, PartialEq, Eq)]
pub struct Shared {
    /// Host and path, as the ARN of its provider in IAM has them.
    issuer: &'static str,
    /// What people call it.
    service: &'static str,
    /// What tells whose a token is.
    tenant: Tenant,
    /// A subject or session name that names the tenant.
    example: &'static str,
}

impl Shared {
    /// Why such a subject lets in everybody, and what to do.
    pub fn refusal(&self, subject: &str) -> String {
        let Self { issuer, service, example, .. } = self;
        let everybody = format!("everybody can have tokens of {service} ({issuer})");
        if self.tenant == Tenant::SessionName {
            return format!(
                "{everybody}, and their session name tells whose they are: set require.sessionName without wildcards, for example {example}"
            );
        }
        format!(
            "{everybody}, and subject {subject} does not say in full whose these are: write it without wildcards up to the end of that name, for example {example}"
        )
    }
}

/// What of a token tells whose it is.
#[derive(Debug, PartialEq, Eq)]
enum Tenant {
    /// The whole audience, which knows no wildcards.
    Audience,
    /// The whole name of the session.
    SessionName,
    /// The subject begins with one of these, and after it comes the tenant's name, up to one of these characters or the end.
    Subject(&'static [(&'static str, &'static str)]),
    /// The same, or the whole subject is a UUID, which no two tenants share.
    SubjectOrUUID(&'static [(&'static str, &'static str)]),
}

/// GitHub's subjects, also those that an organization has changed to begin with another claim. A workflow or a ref that one begins with may be anybody's.
const GITHUB: Tenant = Tenant::Subject(&[
    ("repo:", "/@"),
    ("repository_id:", ":"),
    ("repository_owner:", ":"),
    ("repository_owner_id:", ":"),
    ("enterprise:", ":"),
    ("enterprise_id:", ":"),
]);
const ORGANIZATION: &[(&str, &str)] = &[("organization:", ":")];
const ACCOUNT: Tenant = Tenant::Subject(&[("account:", ":")]);
/// One cluster for all, with a namespace for each.
const NAMESPACE: Tenant = Tenant::Subject(&[("system:serviceaccount:", ":")]);
/// Nothing is known of the form: the tenant's name ends where the subject does.
const WHOLE: (&str, &str) = ("", "");

const fn turbonomic(issuer: &'static str) -> Shared {
    shared(issuer, "IBM Turbonomic", NAMESPACE, "system:serviceaccount:INSTANCE:*")
}

const fn shared(issuer: &'static str, service: &'static str, tenant: Tenant, example: &'static str) -> Shared {
    Shared { issuer, service, tenant, example }
}

/// The issuers that IAM knows as shared, with the subjects that their own documentation tells. Those that have the tenant in their URL are one's own, as are
/// clusters.
const SHARED: &[Shared] = &[
    shared("token.actions.githubusercontent.com", "GitHub Actions", GITHUB, "repo:OWNER/REPOSITORY:*"),
    shared("vstoken.actions.githubusercontent.com", "GitHub Actions", GITHUB, "repo:OWNER/REPOSITORY:*"),
    shared(
        "oidc-configuration.audit-log.githubusercontent.com",
        "GitHub's audit log",
        Tenant::Subject(&[("https://github.com/", "")]),
        "https://github.com/ENTERPRISE",
    ),
    shared("gitlab.com", "GitLab", Tenant::Subject(&[("project_path:", "/")]), "project_path:GROUP/PROJECT:*"),
    shared("app.terraform.io", "HCP Terraform", Tenant::Subject(ORGANIZATION), "organization:ORGANIZATION:project:PROJECT:*"),
    // Instead of the long form a subject may be one claim: the ID of an organization, pipeline or the like, but also a branch, which may be anybody's.
    shared("agent.buildkite.com", "Buildkite", Tenant::SubjectOrUUID(ORGANIZATION), "organization:ORGANIZATION:pipeline:PIPELINE:*"),
    shared("oidc.codefresh.io", "Codefresh", ACCOUNT, "account:ACCOUNT:pipeline:PIPELINE:*"),
    shared("scalr.io", "Scalr", ACCOUNT, "account:ACCOUNT:environment:ENVIRONMENT:*"),
    shared("studio.datachain.ai/api", "DataChain Studio", Tenant::Subject(&[("credentials:", "/")]), "credentials:TEAM/NAME"),
    shared("accounts.google.com", "Google", Tenant::Subject(&[WHOLE]), "the number of the account, in full"),
    shared("tokens.cloud.shisho.dev", "Shisho Cloud", Tenant::Subject(&[WHOLE]), "the whole subject"),
    shared("proidc.upbound.io", "Upbound", Tenant::Subject(&[("mcp:", "/")]), "mcp:ORGANIZATION/CONTROL-PLANE:provider:provider-aws"),
    shared("api.pulumi.com/oidc", "Pulumi Cloud", Tenant::Audience, ""),
    shared("oidc.vercel.com", "Vercel", Tenant::Audience, ""),
    shared("sandboxes.cloud", "Sandboxes", Tenant::Audience, ""),
    shared("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", "Microsoft Sentinel", Tenant::SessionName, "MicrosoftSentinel_WORKSPACE-ID"),
    // It moves to other URLs with its versions.
    turbonomic("oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu"),
    turbonomic("oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb"),
    turbonomic("rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7"),
    turbonomic("rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr"),
    turbonomic("rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg"),
    turbonomic("rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26"),
];

/// Who comes in by a subject.
#[derive(Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whom it names.
    Named,
    /// Whoever has a token of an issuer of one's own, or of the tenant that the audience names.
    Tenant,
    /// Whoever has an account with a shared issuer.
    Everybody(&'static Shared),
}

/// Who comes in by this subject of an issuer, which is told by host and path. A `*` stands for any text, and a `?` for any character. `names_session` says
/// whether one name of the session is required, too.
pub fn reach(issuer: &str, subject: &str, names_session: bool) -> Reach {
    let issuer = issuer.trim_end_matches('/');
    let shared = SHARED.iter().find(|shared| shared.issuer.eq_ignore_ascii_case(issuer));
    let is_open_to_all = |shared: &&Shared| match shared.tenant {
        Tenant::Audience => false,
        Tenant::SessionName => !names_session,
        Tenant::Subject(forms) => !forms.iter().any(|form| names_tenant(subject, *form)),
        Tenant::SubjectOrUUID(forms) => !is_uuid(subject) && !forms.iter().any(|form| names_tenant(subject, *form)),
    };
    match shared.filter(is_open_to_all) {
        Some(shared) => Reach::Everybody(shared),
        None if literal_part(subject).contains(|c: char| c.is_ascii_alphanumeric()) => Reach::Named,
        None => Reach::Tenant,
    }
}

fn names_tenant(subject: &str, (prefix, ends): (&str, &str)) -> bool {
    let Some(rest) = subject.strip_prefix(prefix) else { return false };
    let tenant = rest.split(|c| ends.contains(c)).next().unwrap_or_default();
    !tenant.is_empty() && literal_part(tenant) == tenant
}

fn is_uuid(subject: &str) -> bool {
    let groups: Vec<&str> = subject.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.concat().chars().all(|c| c.is_ascii_hexdigit())
}

/// What comes before the first wildcard, or the first variable of a policy, which may stand for the token's own subject.
fn literal_part(pattern: &str) -> &str {
    pattern.split(['*', '?', '$']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(issuer: &str, subject: &str) -> &'static str {
        match reach(issuer, subject, false) {
            Reach::Named => "named",
            Reach::Tenant => "open",
            Reach::Everybody(shared) => {
                assert!(shared.issuer.eq_ignore_ascii_case(issuer.trim_end_matches('/')), "{issuer}");
                "everybody"
            }
        }
    }

    #[test]
    fn statement_57_nobody_comes_in_by_a_wildcard_in_the_place_of_a_tenant() {
        const GITHUB: &str = "token.actions.githubusercontent.com";
        for (issuer, subject, expected) in [
            (GITHUB, "repo:example/app:environment:production", "named"),
            (GITHUB, "repo:example/*", "named"),
            (GITHUB, "repo:example@123456/app@456789:environment:production", "named"),
            // An "@" cannot be part of a name, so that it ends the owner's.
            (GITHUB, "repo:example@*/app@*:environment:production", "named"),
            (GITHUB, "repo:example*", "everybody"),
            (GITHUB, "repo:ex*", "everybody"),
            (GITHUB, "repo:example-*/x", "everybody"),
            (GITHUB, "repo:example?/app:*", "everybody"),
            (GITHUB, "repo:*", "everybody"),
            (GITHUB, "repo:*/app:ref:refs/heads/main", "everybody"),
            (GITHUB, "repo:/app:*", "everybody"),
            (GITHUB, "re*", "everybody"),
            (GITHUB, "*", "everybody"),
            (GITHUB, "*repo:example/app:*", "everybody"),
            (GITHUB, "${token.actions.githubusercontent.com:sub}", "everybody"),
            (GITHUB, "repo:${token.actions.githubusercontent.com:actor}/app:*", "everybody"),
            (GITHUB, "repository_owner_id:123456:*", "named"),
            (GITHUB, "repository_owner_id:123*", "everybody"),
            (GITHUB, "repository_owner:example", "named"),
            (GITHUB, "repository_owner:*", "everybody"),
            // Without wildcards, and everybody's all the same.
            (GITHUB, "ref:refs/heads/main", "everybody"),
            (GITHUB, "environment:production", "everybody"),
            (GITHUB, "job_workflow_ref:example/app/.github/workflows/x.yaml@refs/heads/main", "everybody"),
            ("Token.Actions.GitHubUserContent.com/", "repo:*", "everybody"),
            ("vstoken.actions.githubusercontent.com", "repo:ex*", "everybody"),
            ("vstoken.actions.githubusercontent.com", "repo:example/app:*", "named"),
            ("oidc-configuration.audit-log.githubusercontent.com", "https://github.com/example", "named"),
            ("oidc-configuration.audit-log.githubusercontent.com", "https://github.com/example*", "everybody"),
            ("gitlab.com", "project_path:group/app:ref_type:branch:ref:main", "named"),
            ("gitlab.com", "project_path:group/*", "named"),
            ("gitlab.com", "project_path:group*", "everybody"),
            ("gitlab.com", "project_path:*:ref_type:branch:ref:main", "everybody"),
            ("gitlab.com", "repo:group/app", "everybody"),
            ("app.terraform.io", "organization:example:*", "named"),
            ("app.terraform.io", "organization:example*", "everybody"),
            ("app.terraform.io", "organization:*:project:x:workspace:y:run_phase:apply", "everybody"),
            ("agent.buildkite.com", "organization:example:pipeline:app:*", "named"),
            ("agent.buildkite.com", "organization:ex*:pipeline:app:*", "everybody"),
            ("agent.buildkite.com", "0190046e-e199-453b-a302-a21a4d649d31", "named"),
            ("agent.buildkite.com", "0190046e-e199-453b-a302-*", "everybody"),
            ("agent.buildkite.com", "0190046e-e199-453b-a302-a21a4d649d3?", "everybody"),
            ("agent.buildkite.com", "main", "everybody"),
            ("oidc.codefresh.io", "account:5f30ebd30312313ae7f17948:pipeline:*", "named"),
            ("oidc.codefresh.io", "account:*:pipeline:64de5cd47626b3ca134e760a:*", "everybody"),
            ("scalr.io", "account:example:environment:prod:workspace:*", "named"),
            ("scalr.io", "account:ex*", "everybody"),
            ("studio.datachain.ai/api", "credentials:example-team/x", "named"),
            ("studio.datachain.ai/api", "credentials:*/x", "everybody"),
            ("tokens.cloud.shisho.dev", "job:example", "named"),
            ("tokens.cloud.shisho.dev", "job:example:*", "everybody"),
            ("proidc.upbound.io", "mcp:example/*", "named"),
            ("proidc.upbound.io", "mcp:*/control:provider:provider-aws", "everybody"),
            // The audience names whose they are.
            ("api.pulumi.com/oidc", "pulumi:deploy:*", "named"),
            ("api.pulumi.com/oidc", "*", "open"),
            ("oidc.vercel.com", "*:project:x", "open"),
            ("sandboxes.cloud", "?*", "open"),
            ("rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7", "system:serviceaccount:example:*", "named"),
            ("rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7", "system:serviceaccount:*:t8c-operator", "everybody"),
            ("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/", "d0a1e5b7", "everybody"),
            // The URL names whose they are.
            ("oidc.vercel.com/example", "*", "open"),
            ("token.actions.githubusercontent.com/example", "repo:*", "named"),
            ("oidc.circleci.com/org/0190046e-e199-453b-a302-a21a4d649d31", "org/0190046e-e199-453b-a302-a21a4d649d31/project/*", "named"),
            ("api.bitbucket.org/2.0/workspaces/example/pipelines-config/identity/oidc", "*:*", "open"),
            ("oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE", "system:serviceaccount:build:*", "named"),
            ("oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE", "*", "open"),
            ("gitlab.example.com", "project_path:*", "named"),
            ("gitlab.example.com", "*/app", "open"),
            ("gitlab.example.com", ":*", "open"),
            ("gitlab.example.com", "app", "named"),
        ] {
            assert_eq!(told(issuer, subject), expected, "{subject} of {issuer}");
        }
    }

    #[test]
    fn every_shared_issuer_lets_in_whom_its_example_names() {
        for shared in SHARED {
            let open = match shared.tenant {
                Tenant::Audience => "open",
                Tenant::SessionName | Tenant::Subject(_) | Tenant::SubjectOrUUID(_) => "everybody",
            };
            assert_eq!(told(shared.issuer, "*"), open, "{}", shared.issuer);
            assert_eq!(shared.tenant == Tenant::Audience, shared.example.is_empty(), "{}", shared.issuer);
            assert!(open == "open" || shared.refusal("*").ends_with(shared.example), "{}", shared.issuer);
            if matches!(shared.tenant, Tenant::Subject(_) | Tenant::SubjectOrUUID(_)) {
                assert_eq!(told(shared.issuer, shared.example), "named", "{}", shared.issuer);
            }
        }
    }

    #[test]
    fn a_session_name_tells_whose_a_token_is_of_one_issuer_alone() {
        assert_eq!(reach("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", "d0a1e5b7", true), Reach::Named);
        assert_eq!(reach("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", "*", true), Reach::Tenant);
        assert!(matches!(reach("gitlab.com", "*", true), Reach::Everybody(_)));
    }
}
