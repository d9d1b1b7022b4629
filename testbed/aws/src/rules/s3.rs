//! What S3 calls its actions.

/// The action that authorises an S3 operation, which often has another name: `ListBuckets` is allowed by
/// `s3:ListAllMyBuckets` on all resources, `ListObjectsV2` by `s3:ListBucket`.
///
/// Source: SAR for Amazon S3; S3 User Guide, "Required permissions for Amazon S3 API operations".
pub fn action_and_resource(operation: &str, resource: &str) -> (String, String) {
    let action = match operation {
        "ListBuckets" => return ("ListAllMyBuckets".to_owned(), "*".to_owned()),
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "HeadObject" => "GetObject",
        "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "PutObject",
        "DeleteObjects" => "DeleteObject",
        other => other,
    };
    (action.to_owned(), resource.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_buckets_is_authorised_as_list_all_my_buckets() {
        assert_eq!(action_and_resource("ListBuckets", "arn:aws:s3:::x"), ("ListAllMyBuckets".to_owned(), "*".to_owned()));
    }

    #[test]
    fn objects_are_listed_by_permission_on_the_bucket() {
        for operation in ["ListObjects", "ListObjectsV2", "HeadBucket"] {
            assert_eq!(action_and_resource(operation, "arn:aws:s3:::x"), ("ListBucket".to_owned(), "arn:aws:s3:::x".to_owned()));
        }
    }

    #[test]
    fn other_actions_keep_name_and_resource() {
        assert_eq!(action_and_resource("GetObject", "arn:aws:s3:::x/y"), ("GetObject".to_owned(), "arn:aws:s3:::x/y".to_owned()));
    }
}
