//! What a file system of a test does not do itself.

/// Methods of a [`FileSystem`](super::FileSystem) that do what the system's do.
macro_rules! forward_to_system {
    ($($method:ident)*) => { $($crate::file_system::forward::forward_one!($method);)* };
}

macro_rules! forward_one {
    (is_file) => {
        fn is_file(&self, path: &std::path::Path) -> bool {
            $crate::file_system::System.is_file(path)
        }
    };
    (is_dir) => {
        fn is_dir(&self, path: &std::path::Path) -> bool {
            $crate::file_system::System.is_dir(path)
        }
    };
    (list) => {
        fn list(&self, dir: &std::path::Path) -> std::io::Result<Vec<String>> {
            $crate::file_system::System.list(dir)
        }
    };
    (modified) => {
        fn modified(&self, path: &std::path::Path) -> std::io::Result<std::time::SystemTime> {
            $crate::file_system::System.modified(path)
        }
    };
    (open) => {
        fn open(
            &self,
            path: &std::path::Path,
            mode: $crate::file_system::OpenMode,
        ) -> std::io::Result<Box<dyn $crate::file_system::StoredFile>> {
            $crate::file_system::System.open(path, mode)
        }
    };
    (rename) => {
        fn rename(&self, from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
            $crate::file_system::System.rename(from, to)
        }
    };
    (lock) => {
        fn lock(
            &self,
            path: &std::path::Path,
        ) -> std::io::Result<Box<dyn $crate::file_system::FileLock>> {
            $crate::file_system::System.lock(path)
        }
    };
    ($changing:ident) => {
        fn $changing(&self, path: &std::path::Path) -> std::io::Result<()> {
            $crate::file_system::System.$changing(path)
        }
    };
}

pub(crate) use {forward_one, forward_to_system};
