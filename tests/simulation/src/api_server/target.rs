//! What a request is about: its path, its query and its headers.

use super::kinds::Kind;

/// What a path names.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind, by its place in the list of all.
    pub kind: usize,
    /// The namespace; empty for all namespaces, and for kinds that are in none.
    pub namespace: String,
    /// The name; empty for all objects.
    pub name: String,
    /// The part of the object.
    pub part: Part,
}

/// A part of an object that is written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it but the status.
    Main,
    /// The status.
    Status,
    /// The finalizers of a namespace that hold its content.
    Finalize,
}

impl Target {
    /// What a path such as `/apis/group/version/namespaces/namespace/plural/name/status` names, where there is such a thing.
    pub fn parse(path: &str, kinds: &[Kind]) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (plural, "", Part::Main),
            [plural, name] => (plural, *name, Part::Main),
            [plural, name, "status"] => (plural, *name, Part::Status),
            [plural, name, "finalize"] => (plural, *name, Part::Finalize),
            _ => return None,
        };
        let index = kinds.iter().position(|kind| kind.plural == *plural && kind.group == group)?;
        let kind = &kinds[index];
        let is_sound = match part {
            Part::Main => true,
            Part::Status => kind.has_status,
            Part::Finalize => kind.is_namespace(),
        };
        let is_placed = namespace.is_empty() || kind.is_namespaced;
        let is_one = namespace.is_empty() && kind.is_namespaced && !name.is_empty();
        (is_sound && is_placed && !is_one).then(|| Self { kind: index, namespace: namespace.to_owned(), name: name.to_owned(), part })
    }

    /// By what the object is found among those of its kind.
    pub fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }
}

/// By what an object is found among those of its kind. As in etcd, this is also the order in which objects are listed.
pub fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// Whether changes are asked for, instead of what there is.
    pub watch: bool,
    /// The version that is asked for.
    pub resource_version: Option<u64>,
    /// Whether exactly that version is asked for.
    pub exact: bool,
    /// Whether a watch gets bookmarks.
    pub bookmarks: bool,
    /// How many objects at most are listed; 0 for all.
    pub limit: usize,
    /// Where a list is gone on with.
    pub next: Option<String>,
    /// The field manager.
    pub manager: Option<String>,
    /// Whether what is applied prevails over other field managers.
    pub force: bool,
}

impl Parameters {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it asks for what is not known here, such as selectors.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<u64>().map_err(|_| format!("Invalid value: {value:?}: {name}"));
            match &*name {
                "watch" => parameters.watch = matches!(&*value, "true" | "1"),
                "resourceVersion" if value.is_empty() => {}
                "resourceVersion" => parameters.resource_version = Some(number()?),
                "resourceVersionMatch" => parameters.exact = value == "Exact",
                "allowWatchBookmarks" => parameters.bookmarks = value == "true",
                "limit" => parameters.limit = usize::try_from(number()?).unwrap_or_default(),
                "continue" => parameters.next = Some(value.into_owned()).filter(|next| !next.is_empty()),
                "fieldManager" => parameters.manager = Some(value.into_owned()),
                "force" => parameters.force = value == "true",
                // A watch here ends when the world says so; warnings about unknown fields are not given.
                "timeoutSeconds" | "fieldValidation" | "pretty" => {}
                _ => return Err(format!("the parameter {name} is not known to this model of the API server")),
            }
        }
        Ok(parameters)
    }
}

/// Whether somebody asks for metadata only.
pub fn wants_metadata(accept: &str) -> bool {
    accept.contains("as=PartialObjectMetadata")
}
