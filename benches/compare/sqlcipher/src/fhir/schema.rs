//! The tables and indexes of the Android FHIR SDK's database, version 10. What is left out are the
//! two tables for changes that wait to be sent to a server: resources from a server put nothing there.

/// A table that refers to the resources, in the columns that all of those have, and its own.
macro_rules! values {
    ($table:literal, $columns:literal, $first:literal, $second:literal) => {
        concat!(
            "CREATE TABLE ",
            $table,
            " (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, resourceUuid BLOB NOT NULL, \
             resourceType TEXT NOT NULL, ",
            $columns,
            ", FOREIGN KEY (resourceUuid) REFERENCES ResourceEntity (resourceUuid) \
             ON UPDATE NO ACTION ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED); \
             CREATE INDEX index_",
            $table,
            "_1 ON ",
            $table,
            " (resourceType, ",
            $first,
            "); CREATE INDEX index_",
            $table,
            "_2 ON ",
            $table,
            " (resourceUuid",
            $second,
            ");"
        )
    };
}

pub(crate) const SCHEMA: [&str; 10] = [
    "CREATE TABLE ResourceEntity (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, \
     resourceUuid BLOB NOT NULL, resourceType TEXT NOT NULL, resourceId TEXT NOT NULL, \
     serializedResource TEXT NOT NULL, versionId TEXT, lastUpdatedRemote INTEGER, \
     lastUpdatedLocal INTEGER);
     CREATE UNIQUE INDEX index_ResourceEntity_1 ON ResourceEntity (resourceUuid);
     CREATE UNIQUE INDEX index_ResourceEntity_2 ON ResourceEntity (resourceType, resourceId);",
    values!(
        "StringIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_value TEXT NOT NULL",
        "index_name, index_value",
        ", index_name, index_value"
    ),
    values!(
        "ReferenceIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_value TEXT NOT NULL",
        "index_name, index_value",
        ""
    ),
    values!(
        "TokenIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_system TEXT, \
         index_value TEXT NOT NULL",
        "index_name, index_value, resourceUuid",
        ""
    ),
    values!(
        "QuantityIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_system TEXT NOT NULL, \
         index_code TEXT NOT NULL, index_value REAL NOT NULL",
        "index_name, index_value, index_code",
        ""
    ),
    values!(
        "UriIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_value TEXT NOT NULL",
        "index_name, index_value",
        ""
    ),
    values!(
        "DateIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_from INTEGER NOT NULL, \
         index_to INTEGER NOT NULL",
        "index_name, resourceUuid, index_from, index_to",
        ", index_name, index_from"
    ),
    values!(
        "DateTimeIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_from INTEGER NOT NULL, \
         index_to INTEGER NOT NULL",
        "index_name, resourceUuid, index_from, index_to",
        ", index_name, index_from"
    ),
    values!(
        "NumberIndexEntity",
        "index_name TEXT NOT NULL, index_path TEXT NOT NULL, index_value REAL NOT NULL",
        "index_name, index_value",
        ", index_name, index_value"
    ),
    values!(
        "PositionIndexEntity",
        "index_latitude REAL NOT NULL, index_longitude REAL NOT NULL",
        "index_latitude, index_longitude",
        ""
    ),
];

pub(crate) const TABLES: [&str; 10] = [
    "ResourceEntity",
    "StringIndexEntity",
    "ReferenceIndexEntity",
    "TokenIndexEntity",
    "QuantityIndexEntity",
    "UriIndexEntity",
    "DateIndexEntity",
    "DateTimeIndexEntity",
    "NumberIndexEntity",
    "PositionIndexEntity",
];

pub(crate) const PUT_RESOURCE: &str = "INSERT OR REPLACE INTO ResourceEntity \
     (resourceUuid, resourceType, resourceId, serializedResource, versionId, lastUpdatedRemote, \
     lastUpdatedLocal) VALUES (?, ?, ?, ?, NULL, NULL, NULL)";

pub(crate) const READ: &str =
    "SELECT serializedResource FROM ResourceEntity WHERE resourceId = ? AND resourceType = ?";
