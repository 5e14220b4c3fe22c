pub(crate) fn single_threaded(_dir: &std::path::Path) {}
