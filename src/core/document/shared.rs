//! One copy of what many hold.

use std::collections::HashSet;
use std::sync::Arc;

use super::Document;

/// How many documents there may be before those that nobody holds are looked for.
const FEW: usize = 256;

/// Documents that are held by many at once, each of which is kept only once: the roles of a fleet mostly have the same few policies.
#[derive(Debug, Default)]
pub struct SharedDocuments {
    known: HashSet<Document>,
    /// How many were held when it was last looked.
    held: usize,
}

impl SharedDocuments {
    /// Puts a document that says the same and is known in this one's place, or gets to know it. One that nobody else holds any more is forgotten at some
    /// time, and never are more than half of a larger number of such.
    pub fn share(&mut self, document: &mut Document) {
        if let Some(same) = self.known.get(document) {
            *document = same.clone();
            return;
        }
        if self.known.len() >= 2 * self.held.max(FEW) {
            self.known.retain(|known| Arc::strong_count(&known.value) > 1);
            self.held = self.known.len();
        }
        self.known.insert(document.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(sid: usize) -> Document {
        Document::from_value(json!({"Version": "2012-10-17", "Statement": [{"Sid": format!("s{sid}")}]})).unwrap()
    }

    #[test]
    fn what_says_the_same_is_held_once_and_what_nobody_holds_is_forgotten() {
        let mut shared = SharedDocuments::default();
        let (mut one, mut other, mut same) = (document(0), document(1), document(0));
        for document in [&mut one, &mut other, &mut same] {
            shared.share(document);
        }
        assert!(Arc::ptr_eq(&one.value, &same.value) && !Arc::ptr_eq(&one.value, &other.value));
        for sid in 2..10 * FEW {
            shared.share(&mut document(sid));
        }
        assert!(shared.known.len() <= 2 * FEW, "{}", shared.known.len());
        let mut again = document(0);
        shared.share(&mut again);
        assert!(Arc::ptr_eq(&one.value, &again.value), "what is held stays");
    }
}
