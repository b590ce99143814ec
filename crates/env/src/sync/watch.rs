//! One value that some tasks set and others wait for. Intermediate values may be skipped, the last one never is.
//!
//! Names and meanings are those of tokio's `watch`; what differs is the order in which waiters wake: the order in which
//! they began to wait.
//!
//! A value is borrowed under a lock: a borrow is not held across an await (its guard is not `Send`), and whoever holds
//! one and sets the value waits for itself.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// A value and its watchers' end, which has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sets the value. When the last clone is dropped, receivers are told [`Closed`].
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value and waits for the next one. A clone has seen what the original has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// No sender is left, so the value stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody is left who could change the value")]
pub struct Closed;

/// The value as it is now, under a lock.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

struct Shared<T> {
    value: RwLock<T>,
    /// Grows with each change, under the write lock of the value.
    version: AtomicU64,
    senders: AtomicUsize,
    changed: Notify,
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        let value = self.value.read();
        Ref(value.expect("a panic while the value was changed ends its node"))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        self.senders.load(Ordering::Acquire) == 0
    }
}

impl<T> Sender<T> {
    /// A value that nobody watches yet.
    pub fn new(value: T) -> Self {
        Self {
            shared: Arc::new(Shared {
                value: RwLock::new(value),
                version: AtomicU64::new(0),
                senders: AtomicUsize::new(1),
                changed: Notify::new(),
            }),
        }
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let _stays = self.shared.borrow();
        Receiver {
            seen: self.shared.version(),
            shared: self.shared.clone(),
        }
    }

    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// Sets the value and returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut next = value;
        self.send_modify(|present| std::mem::swap(present, &mut next));
        next
    }

    /// Changes the value where it lies.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// As [`send_modify`](Self::send_modify), and wakes nobody if `change` says that it changed nothing.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self
            .shared
            .value
            .write()
            .expect("a panic while the value was changed ends its node");
        let changed = change(&mut value);
        if changed {
            self.shared.version.fetch_add(1, Ordering::Release);
        }
        drop(value);
        if changed {
            self.shared.changed.notify_waiters();
        }
        changed
    }
}

impl<T> Receiver<T> {
    /// The present value, which stays unseen if it was.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// The present value, which is then seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.borrow();
        self.seen = self.shared.version();
        value
    }

    /// Whether there is a value that was not seen.
    ///
    /// # Errors
    /// [`Closed`] when there is none and none will come.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        // In this order: a value that came before the last sender went is still seen.
        let closed = self.shared.is_closed();
        match self.shared.version() != self.seen {
            true => Ok(true),
            false if closed => Err(Closed),
            false => Ok(false),
        }
    }

    /// Waits until there is a value that was not seen, and counts it as seen. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when there is none and none will come.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Made before the look at the version: a change after the look wakes it.
            let change = self.shared.changed.notified();
            if self.has_changed()? {
                self.seen = self.shared.version();
                return Ok(());
            }
            change.await;
        }
    }

    /// Waits until the value is `wanted`, and counts it as seen; the present value is asked first. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when the value is not wanted and will not change.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            let change = self.shared.changed.notified();
            let closed = self.shared.is_closed();
            {
                // Seen under the lock, so that the value handed out is the one that was asked.
                let value = self.shared.borrow();
                if wanted(&value) {
                    self.seen = self.shared.version();
                    return Ok(value);
                }
            }
            if closed {
                return Err(Closed);
            }
            change.await;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&*self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    /// Writes its number into a list when it is woken.
    struct Named(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// More waiters than tokio's eight lists have room for without a collision.
    const WAITERS: usize = 100;

    #[test]
    fn waiters_wake_in_the_order_in_which_they_began_to_wait() {
        let (sender, receiver) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut receivers: Vec<_> = (0..WAITERS).map(|_| receiver.clone()).collect();
        let mut waits: Vec<_> = receivers
            .iter_mut()
            .map(|receiver| Box::pin(receiver.changed()))
            .collect();
        for (number, wait) in waits.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Named(number, woken.clone())));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send_replace(1);
        assert_eq!(*woken.lock().unwrap(), (0..WAITERS).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_is_seen_once_and_the_last_one_always() {
        let (sender, mut receiver) = channel(0);
        assert_eq!(receiver.has_changed(), Ok(false));
        assert_eq!(sender.send_replace(1), 0);
        sender.send_modify(|value| *value += 1);
        assert_eq!(receiver.has_changed(), Ok(true));
        assert_eq!(poll(&mut Box::pin(receiver.changed())), Poll::Ready(Ok(())));
        assert_eq!((*receiver.borrow(), receiver.has_changed()), (2, Ok(false)));
        assert!(poll(&mut Box::pin(receiver.changed())).is_pending());
        assert!(!sender.send_if_modified(|_| false));
        assert_eq!(receiver.has_changed(), Ok(false));
        sender.send_replace(3);
        assert_eq!((*receiver.borrow(), receiver.has_changed()), (3, Ok(true)));
        assert_eq!(*receiver.borrow_and_update(), 3);
        assert_eq!(receiver.has_changed(), Ok(false));
    }

    #[test]
    fn a_change_between_the_look_and_the_wait_is_not_lost() {
        let (sender, mut receiver) = channel(0);
        let mut wait = Box::pin(receiver.changed());
        assert!(poll(&mut wait).is_pending());
        sender.send_replace(1);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_wait_ends_with_the_value_that_it_waits_for() {
        let (sender, mut receiver) = channel(0);
        let mut wait = Box::pin(receiver.wait_for(|value| *value >= 2));
        assert!(poll(&mut wait).is_pending());
        sender.send_replace(1);
        assert!(poll(&mut wait).is_pending());
        sender.send_replace(5);
        assert!(matches!(poll(&mut wait), Poll::Ready(Ok(value)) if *value == 5));
        drop(wait);
        assert_eq!(receiver.has_changed(), Ok(false));
    }

    #[test]
    fn a_wait_may_move_to_another_thread() {
        fn moves<T: Send>(wait: T) -> T {
            wait
        }
        let (_sender, mut receiver) = channel(0);
        assert!(poll(&mut Box::pin(moves(receiver.changed()))).is_pending());
        assert!(poll(&mut Box::pin(moves(receiver.wait_for(|value| *value == 1)))).is_pending());
    }

    #[test]
    fn the_last_sender_ends_every_wait_but_hides_no_value() {
        let (sender, mut receiver) = channel(0);
        let second = sender.clone();
        drop(sender);
        let mut late = receiver.clone();
        let mut wait = Box::pin(receiver.changed());
        assert!(poll(&mut wait).is_pending());
        second.send_replace(1);
        drop(second);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
        drop(wait);
        assert_eq!(poll(&mut Box::pin(receiver.changed())), Poll::Ready(Err(Closed)));
        assert_eq!(receiver.has_changed(), Err(Closed));
        assert!(matches!(
            poll(&mut Box::pin(late.wait_for(|value| *value == 1))),
            Poll::Ready(Ok(_))
        ));
        assert!(matches!(
            poll(&mut Box::pin(late.wait_for(|value| *value == 2))),
            Poll::Ready(Err(Closed))
        ));
    }
}
