//! The run queue of a node: tasks, the scopes that own them, and the policy that picks the next one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::draw::{Domain, Seed};
use crate::trace::Name;

/// What a runnable task says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskMeta {
    pub node: usize,
    pub incarnation: u32,
    pub id: u64,
    pub label: &'static str,
    pub name: Name,
}

pub(crate) type Runnable = async_task::Runnable<TaskMeta>;
pub(crate) type OwnedTask = async_task::Task<(), TaskMeta>;

/// Tasks that were woken and not yet sorted into their node's queue. A lock of its own, taken last, so that anything
/// may wake a task while it holds the world.
#[derive(Default)]
pub(crate) struct Woken {
    tasks: Mutex<VecDeque<Runnable>>,
    /// Whether there are any: most of the times that somebody asks, there are none.
    any: AtomicBool,
}

impl Woken {
    pub fn push(&self, runnable: Runnable) {
        let mut tasks = self.tasks.lock().expect("pushing does not panic");
        tasks.push_back(runnable);
        self.any.store(true, Ordering::Relaxed);
    }

    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// Takes the task that was woken first.
    pub fn pop(&self) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        let mut tasks = self.tasks.lock().expect("taking does not panic");
        let first = tasks.pop_front();
        self.any.store(!tasks.is_empty(), Ordering::Relaxed);
        first
    }
}

/// Which of a node's ready tasks runs next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    /// The one that waits longest.
    #[default]
    Fifo,
    /// The one that was woken last.
    Lifo,
    /// Any, with equal chance.
    Random,
    /// The one with the highest random priority; the priorities change after every `stretch` choices on average
    /// (probabilistic concurrency testing).
    Pct {
        /// Choices between two changes.
        stretch: u32,
    },
    /// Tasks with this label run only when no other is ready, or in one choice of sixteen.
    Starve {
        /// Whose turn it rarely is.
        label: String,
    },
}

/// The ready tasks of one incarnation.
#[derive(Default)]
pub(crate) struct RunQueue {
    /// With the record that woke each.
    ready: VecDeque<(Runnable, Option<u64>)>,
    choices: u64,
    era: u64,
}

impl RunQueue {
    /// Adds a task that record `cause` woke.
    pub fn push(&mut self, runnable: Runnable, cause: Option<u64>) {
        self.ready.push_back((runnable, cause));
    }

    pub fn len(&self) -> usize {
        self.ready.len()
    }

    pub fn drain(&mut self) -> Vec<Runnable> {
        self.ready.drain(..).map(|(runnable, _)| runnable).collect()
    }

    /// Takes the next task, and the record that woke it. A queue of one draws nothing.
    pub fn pick(
        &mut self,
        policy: &Policy,
        seed: Seed,
        node: usize,
        incarnation: u32,
    ) -> Option<(Runnable, Option<u64>)> {
        if self.ready.len() <= 1 {
            return self.ready.pop_front();
        }
        self.choices += 1;
        let mut draw = seed.draw(
            Domain::Schedule,
            node as u64,
            u64::from(incarnation),
            self.choices,
        );
        let index = match policy {
            Policy::Fifo => 0,
            Policy::Lifo => self.ready.len() - 1,
            Policy::Random => index(draw.below(self.ready.len() as u64)),
            Policy::Pct { stretch } => {
                if draw.below(u64::from(*stretch).max(1)) == 0 {
                    self.era = self.choices;
                }
                let priority = |task: u64| {
                    seed.draw(Domain::Schedule, node as u64, task ^ u64::MAX, self.era)
                        .bits()
                };
                let ranked = self
                    .ready
                    .iter()
                    .enumerate()
                    .max_by_key(|(_, (task, _))| priority(task.metadata().id));
                ranked.map_or(0, |(index, _)| index)
            }
            Policy::Starve { label } if draw.below(16) != 0 => self
                .ready
                .iter()
                .position(|(task, _)| task.metadata().label != label)
                .unwrap_or(0),
            Policy::Starve { .. } => 0,
        };
        self.ready.remove(index)
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("an index below a usize is a usize")
}

/// The scopes of one incarnation and the tasks that they own.
#[derive(Default)]
pub(crate) struct Scopes {
    scopes: BTreeMap<u64, ScopeState>,
    tasks: BTreeMap<u64, (u64, OwnedTask)>,
    next: u64,
}

#[derive(Default)]
struct ScopeState {
    parent: Option<u64>,
    children: BTreeSet<u64>,
    tasks: BTreeSet<u64>,
}

impl Scopes {
    /// A new number, for a task or a scope.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Opens a scope; `None` when its parent is cancelled.
    pub fn open(&mut self, parent: Option<u64>) -> Option<u64> {
        let id = self.number();
        if let Some(parent) = parent {
            self.scopes.get_mut(&parent)?.children.insert(id);
        }
        self.scopes.insert(
            id,
            ScopeState {
                parent,
                ..ScopeState::default()
            },
        );
        Some(id)
    }

    pub fn is_open(&self, scope: u64) -> bool {
        self.scopes.contains_key(&scope)
    }

    /// Gives `task` to `scope`, or gives it back when the scope is cancelled.
    pub fn adopt(&mut self, scope: u64, id: u64, task: OwnedTask) -> Result<(), OwnedTask> {
        let Some(state) = self.scopes.get_mut(&scope) else {
            return Err(task);
        };
        state.tasks.insert(id);
        self.tasks.insert(id, (scope, task));
        Ok(())
    }

    /// Takes one task out of its scope.
    pub fn release(&mut self, id: u64) -> Option<OwnedTask> {
        let (scope, task) = self.tasks.remove(&id)?;
        if let Some(state) = self.scopes.get_mut(&scope) {
            state.tasks.remove(&id);
        }
        Some(task)
    }

    /// Ends a scope with everything below it and hands out the tasks in the order in which they were spawned.
    pub fn cancel(&mut self, scope: u64) -> Vec<OwnedTask> {
        let mut ids = BTreeSet::new();
        if let Some(parent) = self.scopes.get(&scope).and_then(|state| state.parent)
            && let Some(parent) = self.scopes.get_mut(&parent)
        {
            parent.children.remove(&scope);
        }
        let mut pending = vec![scope];
        while let Some(scope) = pending.pop() {
            if let Some(state) = self.scopes.remove(&scope) {
                ids.extend(state.tasks);
                pending.extend(state.children);
            }
        }
        ids.into_iter()
            .filter_map(|id| self.tasks.remove(&id).map(|(_, task)| task))
            .collect()
    }

    /// Ends everything.
    pub fn cancel_all(&mut self) -> Vec<OwnedTask> {
        self.scopes.clear();
        std::mem::take(&mut self.tasks)
            .into_values()
            .map(|(_, task)| task)
            .collect()
    }
}
