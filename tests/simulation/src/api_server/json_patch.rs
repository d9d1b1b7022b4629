//! JSON patches as kube-apiserver carries them out (evanphx/json-patch, version 4), which is more lenient than RFC 6902: a field of an object that is
//! not there counts as null, so that it can be replaced, copied, and tested for.

use serde::Deserialize;
use serde_json::Value;

/// One step of a patch.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts in a value.
    Add { path: String, value: Value },
    /// Takes out a value.
    Remove { path: String },
    /// Puts a value in the place of another.
    Replace { path: String, value: Value },
    /// Moves a value.
    Move { from: String, path: String },
    /// Copies a value.
    Copy { from: String, path: String },
    /// Ends the patch where there is another value.
    Test {
        path: String,
        #[serde(default)]
        value: Value,
    },
}

/// A patch that does not fit.
pub struct DoesNotApply;

type Applied<T = ()> = Result<T, DoesNotApply>;

/// Carries out a patch. Where it does not fit, part of it may be carried out.
///
/// # Errors
/// Where it does not fit.
pub fn apply(patch: Vec<Operation>, document: &mut Value) -> Applied {
    patch.into_iter().try_for_each(|operation| operation.apply(document))
}

impl Operation {
    fn apply(self, document: &mut Value) -> Applied {
        match self {
            Self::Add { path, value } => Place::find(document, &path)?.add(value),
            Self::Remove { path } => Place::find(document, &path)?.remove(),
            Self::Replace { path, value } => Place::find(document, &path)?.replace(value),
            Self::Move { from, path } => {
                let value = Place::find(document, &from)?.get()?;
                Place::find(document, &from)?.remove()?;
                Place::find(document, &path)?.add(value)
            }
            Self::Copy { from, path } => {
                let value = Place::find(document, &from)?.get()?;
                Place::find(document, &path)?.add(value)
            }
            Self::Test { path, value } => {
                if Place::find(document, &path)?.get()? == value {
                    Ok(())
                } else {
                    Err(DoesNotApply)
                }
            }
        }
    }
}

/// A place in a document: what it is in, and by what it is found there.
struct Place<'d> {
    parent: &'d mut Value,
    key: String,
}

impl<'d> Place<'d> {
    fn find(document: &'d mut Value, path: &str) -> Applied<Self> {
        let (parents, key) = path.rsplit_once('/').ok_or(DoesNotApply)?;
        let parent = document.pointer_mut(parents).filter(|parent| parent.is_object() || parent.is_array()).ok_or(DoesNotApply)?;
        Ok(Self { parent, key: key.replace("~1", "/").replace("~0", "~") })
    }

    /// The index of an item of a list that has this many places.
    fn index(&self, places: usize) -> Applied<usize> {
        self.key.parse().ok().filter(|index| *index < places).ok_or(DoesNotApply)
    }

    fn get(&self) -> Applied<Value> {
        match &*self.parent {
            Value::Array(items) => Ok(items[self.index(items.len())?].clone()),
            parent => Ok(parent.get(&self.key).cloned().unwrap_or_default()),
        }
    }

    fn add(self, value: Value) -> Applied {
        let end = self.parent.as_array().map_or(0, Vec::len);
        let index = if self.key == "-" { Ok(end) } else { self.index(end + 1) };
        match self.parent {
            Value::Array(items) => items.insert(index?, value),
            Value::Object(fields) => drop(fields.insert(self.key, value)),
            _ => return Err(DoesNotApply),
        }
        Ok(())
    }

    fn replace(self, value: Value) -> Applied {
        let index = self.index(self.parent.as_array().map_or(0, Vec::len));
        match self.parent {
            Value::Array(items) => items[index?] = value,
            Value::Object(fields) => drop(fields.insert(self.key, value)),
            _ => return Err(DoesNotApply),
        }
        Ok(())
    }

    fn remove(self) -> Applied {
        let index = self.index(self.parent.as_array().map_or(0, Vec::len));
        match self.parent {
            Value::Array(items) => drop(items.remove(index?)),
            Value::Object(fields) => drop(fields.remove(&self.key).ok_or(DoesNotApply)?),
            _ => return Err(DoesNotApply),
        }
        Ok(())
    }
}
