//! Records become events: time, key and values by dotted path, without building a document.
