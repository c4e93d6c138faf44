//! The files of a crate as a graph: which file uses which names of which other file.

use crate::{
    source::{Import, Source},
    workspace::{below, files},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The uses of one file by another one: from, to, and the names.
pub type Edges = BTreeMap<(String, String), BTreeSet<String>>;

/// The file or module that a path leads to.
#[derive(Clone, PartialEq)]
enum Target {
    Module(Vec<String>),
    /// A name that the file of this module defines.
    Item(Vec<String>),
}

/// The modules and names that a search has visited.
type Seen = BTreeSet<(Vec<String>, String)>;

/// The files of one crate by module path. The root of a program beside a library is left out.
pub struct Sources(BTreeMap<Vec<String>, Source>);

impl Sources {
    pub fn read(src: &Path) -> Sources {
        let mut found = BTreeMap::new();
        let mut tests = vec![];
        for path in files(src, ".rs") {
            let file = below(src, &path);
            let mut module: Vec<String> =
                file.trim_end_matches(".rs").split('/').map(String::from).collect();
            if file == "main.rs" && src.join("lib.rs").exists() {
                continue;
            }
            if module.last().is_some_and(|m| m == "mod") || ["lib.rs", "main.rs"].contains(&&*file)
            {
                module.pop();
            }
            let source =
                Source::parse(file, module, &fs::read_to_string(&path).unwrap(), &mut tests);
            found.insert(source.module.clone(), source);
        }
        found.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Sources(found)
    }

    /// Returns the uses of files by each other.
    pub fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for source in self.0.values() {
            for (target, name) in self.uses(source) {
                let to = &self.0[&target].file;
                if *to != source.file {
                    edges.entry((source.file.clone(), to.clone())).or_default().insert(name);
                }
            }
        }
        edges
    }

    /// Returns the modules that `source` uses, each with the name used.
    fn uses(&self, source: &Source) -> Vec<(Vec<String>, String)> {
        let mut out = vec![];
        let mut globs = vec![];
        for import in &source.imports {
            let Some(target) = self.resolve(&source.module, &import.path, &mut Seen::new()) else {
                continue;
            };
            match target {
                Target::Module(module) if import.name == "*" => globs.push(module),
                // Paths in the code show which names of a module are used.
                Target::Module(module) if source.is_used_alone(&import.name) => {
                    out.push((module, import.name.clone()));
                }
                Target::Module(_) => {}
                Target::Item(module) => {
                    let is_child = module.starts_with(&source.module);
                    if !(import.is_reexport && is_child) || source.is_used(&import.name) {
                        out.push((module, import.name.clone()));
                    }
                }
            }
        }
        if source.has_macro_reexport {
            globs.push(source.module.clone());
        }
        for (at, word) in source.words() {
            let path = source.path(at);
            if path.len() > 1 {
                out.extend(self.code_path(source, path));
            } else if source.is_name(at) && !source.knows(word) {
                let found = globs.iter().find_map(|glob| self.member(glob, word, &mut Seen::new()));
                if let Some(Target::Item(module)) = found {
                    out.push((module, word.to_string()));
                }
            }
        }
        out
    }

    /// Returns the module of the name that `path`, in the code of `source`, leads to.
    fn code_path(&self, source: &Source, path: &[String]) -> Option<(Vec<String>, String)> {
        let path: Vec<String> = path.iter().filter(|token| *token != "::").cloned().collect();
        // The name of an imported item is an import already.
        let is_module = match path[0].as_str() {
            "crate" | "super" | "self" => true,
            first => matches!(
                self.resolve(&source.module, &[first.into()], &mut Seen::new()),
                Some(Target::Module(_))
            ),
        };
        let target = self.resolve(&source.module, &path, &mut Seen::new()).filter(|_| is_module)?;
        let (Target::Module(module) | Target::Item(module)) = target;
        Some((module, path[path.len() - 1].clone()))
    }

    /// Returns the target of `path` as seen in `module`, or `None` for a path to another crate.
    fn resolve(&self, module: &[String], path: &[String], seen: &mut Seen) -> Option<Target> {
        let (mut at, mut rest) = (module.to_vec(), path);
        let mut is_relative = true;
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "super" => _ = at.pop()?,
                "self" => {}
                _ => break,
            }
            (rest, is_relative) = (tail, false);
        }
        let mut target = Target::Module(at);
        for name in rest.iter().filter(|name| *name != "self") {
            let Target::Module(module) = &target else { break };
            let member = self.member(module, name, seen);
            target = match member {
                Some(target) => target,
                None if is_relative => return None,
                // An import from another crate, or a name that a macro defines.
                None if self.0[module].knows(name) => return None,
                None => Target::Item(module.clone()),
            };
            is_relative = false;
        }
        match &target {
            Target::Module(module) if !self.0.contains_key(module) => None,
            _ => Some(target),
        }
    }

    /// Returns what `name` is in `module`: a child, an import or a definition of it.
    fn member(&self, module: &[String], name: &str, seen: &mut Seen) -> Option<Target> {
        let source = self.0.get(module)?;
        let child = [module, &[name.to_string()]].concat();
        if self.0.contains_key(&child) {
            return Some(Target::Module(child));
        }
        if source.defined.contains(name) {
            return Some(Target::Item(module.to_vec()));
        }
        if !seen.insert((module.to_vec(), name.to_string())) {
            return None;
        }
        let own = |import: &&Import| import.name == name && import.path != [name];
        if let Some(import) = source.imports.iter().find(own) {
            return self.resolve(module, &import.path, seen);
        }
        let mut globs = source.imports.iter().filter(|import| import.name == "*");
        let in_glob = |import: &Import| match self.resolve(module, &import.path, seen)? {
            Target::Module(glob) if glob != module => self.member(&glob, name, seen),
            _ => None,
        };
        globs.find_map(in_glob).or_else(|| {
            let children = self.0.values().filter(|child| {
                child.module.len() == module.len() + 1 && child.module.starts_with(module)
            });
            let mut children = children.filter(|_| source.has_macro_reexport);
            let definer = children.find(|child| child.defined.contains(name))?;
            Some(Target::Item(definer.module.clone()))
        })
    }
}
