//! Schemas of workloads that a provider outside of AWS vouches for: pipelines, and whoever else has a token.
//!
//! What stands in every source of every entry is a bare pattern where the API server would spend too much on a rule of its own.

use schemars::{Schema, SchemaGenerator};

use super::{pattern, string};

/// A repository on GitHub.
pub fn github_repository(_: &mut SchemaGenerator) -> Schema {
    string(
        3,
        140,
        &[(
            "self.matches('^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$')",
            "a repository is owner/name, without wildcards, for example example/app; IDs stand in repositoryOwnerID and repositoryID",
        )],
    )
}

/// The ID of a repository or its owner on GitHub.
pub fn github_id(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 20, "^[1-9][0-9]*$")
}

/// An environment of a repository on GitHub.
pub fn github_environment(_: &mut SchemaGenerator) -> Schema {
    string(1, 255, &[("self.matches('^[A-Za-z0-9 .:_/-]+$')", "the name of an environment has letters, digits, spaces and .:_/-, without wildcards")])
}

/// What a claim of GitHub's must be, with `*` for any text.
pub fn github_claim(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 255, "^[ -#%->@-~]+$")
}

/// The workflow that a job is defined in, by a literal owner.
pub fn github_workflow_ref(_: &mut SchemaGenerator) -> Schema {
    pattern(3, 255, "^[A-Za-z0-9-]+/[ -#%->@-~]+$")
}

/// A ref of a repository.
pub fn git_ref(_: &mut SchemaGenerator) -> Schema {
    string(
        6,
        255,
        &[(
            "self.matches('^refs/(heads|tags)/[A-Za-z0-9._/*-]+$') && !self.matches('^refs/heads/[*/]+$')",
            "a ref looks like refs/heads/main, refs/heads/release/* or refs/tags/v*; all branches are not meant here, since anybody who may push one \
             could assume the role",
        )],
    )
}

/// Whose a pipeline is: a path of groups, a name or an ID.
pub fn pipeline_organization(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 255, "^[A-Za-z0-9._/-]+$")
}

/// A project, pipeline or repository: a name or an ID.
pub fn pipeline_project(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 255, "^[A-Za-z0-9 ._{}-]+$")
}

/// A workspace: a name or an ID.
pub fn pipeline_workspace(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 255, "^[A-Za-z0-9_{}-]+$")
}

/// The refs that a pipeline may run for.
pub fn pipeline_ref(_: &mut SchemaGenerator) -> Schema {
    pattern(11, 255, "^refs/(heads|tags)/[A-Za-z0-9._/*-]+$")
}

/// The UUID of a deployment environment.
pub fn pipeline_environment(_: &mut SchemaGenerator) -> Schema {
    pattern(36, 38, r"^(\{[0-9a-f-]{36}\}|[0-9a-f-]{36})$")
}

/// The audience of a pipeline's token.
pub fn pipeline_audience(_: &mut SchemaGenerator) -> Schema {
    pattern(1, 255, "^[!-#%-)+->@-~]+$")
}

/// The audience of a token.
pub fn audience(_: &mut SchemaGenerator) -> Schema {
    string(1, 255, &[("self.matches('^[!-)+->@-~]+$') && !self.contains('$')", "an audience has printable characters, and no *, ?, $ or space")])
}

/// The subject of a token, with `*` for any text. What a wildcard opens depends on the provider.
pub fn subject(_: &mut SchemaGenerator) -> Schema {
    string(1, 255, &[("self.matches('^[ -~]+$') && !self.contains('$')", "a subject has printable characters and no $")])
}
