//! What S3 calls its actions.

/// The action that authorises an S3 operation: `ListBuckets` is allowed by `s3:ListAllMyBuckets` on all resources.
///
/// Source: SAR for Amazon S3; UG `troubleshoot_access-denied.md` shows it in the message too.
pub fn action_and_resource(action: &str, resource: &str) -> (String, String) {
    match action {
        "ListBuckets" => ("ListAllMyBuckets".to_owned(), "*".to_owned()),
        other => (other.to_owned(), resource.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_buckets_is_authorised_as_list_all_my_buckets() {
        assert_eq!(action_and_resource("ListBuckets", "arn:aws:s3:::x"), ("ListAllMyBuckets".to_owned(), "*".to_owned()));
    }

    #[test]
    fn other_actions_keep_name_and_resource() {
        assert_eq!(
            action_and_resource("GetObject", "arn:aws:s3:::x/y"),
            ("GetObject".to_owned(), "arn:aws:s3:::x/y".to_owned())
        );
    }
}
