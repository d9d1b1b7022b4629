//! One copy of what many hold.

use std::collections::HashMap;

use super::Document;

/// Documents that are held by many at once, each of which is kept only once: the roles of a fleet mostly have the same few policies. Each is known with the
/// number of those who hold it, and forgotten with the last of them.
#[derive(Debug, Default)]
pub struct SharedDocuments(HashMap<Document, usize>);

impl SharedDocuments {
    /// How many documents are known.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Puts a document that says the same and is known in the place of this one, or gets to know this one. It is held until it is released.
    pub fn share(&mut self, document: &mut Document) {
        if let Some((same, _)) = self.0.get_key_value(document) {
            *document = same.clone();
        }
        *self.0.entry(document.clone()).or_default() += 1;
    }

    /// Takes back a document that was shared, from one who holds it.
    pub fn release(&mut self, document: &Document) {
        let Some(holders) = self.0.get_mut(document) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.0.remove(document);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        shared.release(&one);
        shared.release(&other);
        assert_eq!(shared.count(), 1);
        let mut again = document(0);
        shared.share(&mut again);
        assert!(Arc::ptr_eq(&same.value, &again.value), "what is held stays");
        shared.release(&same);
        shared.release(&again);
        assert_eq!(shared.count(), 0);
    }
}
