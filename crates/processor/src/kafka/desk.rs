//! Where the thread that serves the group and the one that commits meet.
//!
//! News go one way: what the group gives and takes, each with a copy of the group's metadata, taken at the start of the
//! callback. Orders go the other way: join, read from here, close. A partition that the group wants back is held in the callback until it is
//! released, at most five seconds; then it counts as lost.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use llm_optimizer_engine::core::PartitionId;

use super::{cluster::TopicPartition, transaction::GroupMetadata};
use crate::{
    commit::kafka::{Membership, TaskStart},
    record::PartitionOrigin,
};

/// How long the group waits for a partition it wants back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the group and the brokers say.
#[derive(Debug, Clone)]
pub enum GroupNews {
    /// The brokers answer and all is as it must be; these are the partitions of the topics.
    Ready(Vec<Arc<PartitionOrigin>>),
    /// These are the partitions now.
    Topology(Vec<Arc<PartitionOrigin>>),
    /// The group gave partitions, or none, if only its generation changed.
    Granted {
        /// The new ones.
        partitions: Vec<PartitionId>,
        /// Copy taken at the start of the callback.
        membership: Membership,
    },
    /// The group wants partitions back and waits for [`GroupDesk::release`].
    Revoked {
        /// Those that go.
        partitions: Vec<PartitionId>,
        /// Copy taken at the start of the callback.
        membership: Membership,
    },
    /// Others may have all of them already.
    Lost,
    /// Another member has this one's name.
    Fenced,
    /// Records to be read next were deleted.
    PositionGone {
        /// Where.
        partition: PartitionId,
        /// What was to be read.
        position: i64,
        /// The oldest that is there.
        log_start: i64,
    },
}

/// What the thread that serves the group is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOrder {
    /// Make a consumer and join.
    Join,
    /// Read from here; whatever is still on its way from these partitions is not wanted any more.
    Assign(OrderNumber, Vec<TaskStart>),
    /// Close the consumer.
    Close,
}

/// Number of an order to read, over the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNumber(pub u64);

/// The desk; both sides share it.
#[derive(Debug)]
pub struct GroupDesk {
    news: Sender<GroupNews>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    orders: VecDeque<GroupOrder>,
    copies: HashMap<Membership, GroupMetadata>,
    newest: u64,
    ids: HashMap<TopicPartition, PartitionId>,
    /// By which order a partition is read, and the origin that its batches then carry.
    read: HashMap<PartitionId, Begun>,
    /// A callback waits until its partitions are released.
    is_held: bool,
    /// The consumer is being closed, and nobody cares what it gives back.
    is_closing: bool,
    is_left: bool,
}

/// A partition as it is read since an order.
#[derive(Debug)]
struct Begun {
    order: OrderNumber,
    origin: Arc<PartitionOrigin>,
    position: i64,
}

impl GroupDesk {
    /// A desk, and where its news come out.
    #[must_use]
    pub fn new() -> (Arc<Self>, Receiver<GroupNews>) {
        let (news, received) = unbounded();
        let desk = Self { news, state: Mutex::default(), changed: Condvar::new() };
        (Arc::new(desk), received)
    }

    /// Gives an order; they are carried out in turn.
    pub fn order(&self, order: GroupOrder) {
        let mut state = self.lock();
        match &order {
            GroupOrder::Join => state.is_closing = false,
            GroupOrder::Close => (state.is_closing, state.is_held) = (true, false),
            GroupOrder::Assign(..) => {}
        }
        state.orders.push_back(order);
        drop(state);
        self.changed.notify_all();
    }

    /// The copy of the group's metadata with this number, unless it was forgotten.
    #[must_use]
    pub fn copy(&self, membership: Membership) -> Option<GroupMetadata> {
        self.lock().copies.get(&membership).cloned()
    }

    /// Forgets every copy older than `membership`.
    pub fn forget_before(&self, membership: Membership) {
        self.lock().copies.retain(|number, _| *number >= membership);
    }

    /// Forgets every copy.
    pub fn forget_all(&self) {
        self.lock().copies.clear();
    }

    /// Where the partition of `origin` began to be read by this order. `None` if the order is not carried out, and for an
    /// origin of an earlier order, which is another one with the same content.
    #[must_use]
    pub fn begun_at(&self, origin: &Arc<PartitionOrigin>, order: OrderNumber) -> Option<i64> {
        let state = self.lock();
        let begun = state.read.get(&origin.id)?;
        (begun.order == order && Arc::ptr_eq(&begun.origin, origin)).then_some(begun.position)
    }

    /// Lets the group have what it wants back.
    pub fn release(&self) {
        self.lock().is_held = false;
        self.changed.notify_all();
    }

    /// Nobody commits any more: callbacks wait for nothing.
    pub fn leave(&self) {
        let mut state = self.lock();
        (state.is_held, state.is_left) = (false, true);
        drop(state);
        self.changed.notify_all();
    }

    /// The next order, if there is one within `timeout`.
    pub(super) fn next_order(&self, timeout: Duration) -> Option<GroupOrder> {
        let state = self.lock();
        let is_idle = |state: &mut State| state.orders.is_empty() && !state.is_left;
        let waited = self.changed.wait_timeout_while(state, timeout, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.orders.pop_front()
    }

    /// Whether nobody commits any more.
    pub(super) fn is_left(&self) -> bool {
        self.lock().is_left
    }

    /// Whether what the consumer gives back matters to nobody.
    pub(super) fn is_indifferent(&self) -> bool {
        let state = self.lock();
        state.is_left || state.is_closing
    }

    /// Tells the other side; it may be gone.
    pub(super) fn tell(&self, news: GroupNews) {
        let _ = self.news.send(news);
    }

    /// Keeps a copy under a new number.
    pub(super) fn keep(&self, copy: GroupMetadata) -> Membership {
        let mut state = self.lock();
        state.newest += 1;
        let number = Membership(state.newest);
        state.copies.insert(number, copy);
        number
    }

    /// Remembers by which order a partition is read, and from where.
    pub(super) fn begun(&self, order: OrderNumber, origin: Arc<PartitionOrigin>, position: i64) {
        self.lock().read.insert(origin.id, Begun { order, origin, position });
    }

    /// Remembers the number of a partition.
    pub(super) fn number(&self, partition: &TopicPartition, id: PartitionId) {
        self.lock().ids.insert(partition.clone(), id);
    }

    /// Numbers of partitions; those that nobody knows are left out.
    pub(super) fn numbers<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Vec<PartitionId> {
        let state = self.lock();
        partitions.filter_map(|partition| state.ids.get(partition).copied()).collect()
    }

    /// Tells that the group wants partitions back and waits until they are released; too long is a loss.
    pub(super) fn give_back(&self, partitions: Vec<PartitionId>, copy: GroupMetadata) {
        let membership = self.keep(copy);
        self.lock().is_held = true;
        self.tell(GroupNews::Revoked { partitions, membership });
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        let state = self.lock();
        let wait = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, wait, |state| state.is_held);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_held = false;
        drop(state);
        if waited.timed_out() {
            self.tell(GroupNews::Lost);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SourceKind;

    #[test]
    fn orders_are_carried_out_in_turn() {
        let (desk, _news) = GroupDesk::new();
        desk.order(GroupOrder::Join);
        desk.order(GroupOrder::Close);
        assert_eq!(desk.next_order(Duration::ZERO), Some(GroupOrder::Join));
        assert_eq!(desk.next_order(Duration::ZERO), Some(GroupOrder::Close));
        assert_eq!(desk.next_order(Duration::ZERO), None);
    }

    #[test]
    fn whoever_leaves_wakes_those_who_wait() {
        let (desk, _news) = GroupDesk::new();
        desk.leave();
        let begun = Instant::now();
        assert_eq!(desk.next_order(Duration::from_mins(1)), None);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_was_sent_before_the_last_order_is_told_apart() {
        let (desk, _news) = GroupDesk::new();
        let origin = || {
            Arc::new(PartitionOrigin {
                id: PartitionId(3),
                kind: SourceKind::Kafka,
                name: "t".into(),
                partition: 0,
            })
        };
        let (first, second) = (origin(), origin());
        desk.begun(OrderNumber(1), Arc::clone(&first), 5);
        assert_eq!(desk.begun_at(&first, OrderNumber(1)), Some(5));
        assert_eq!(
            desk.begun_at(&first, OrderNumber(2)),
            None,
            "the second order is not carried out yet"
        );
        desk.begun(OrderNumber(2), Arc::clone(&second), 7);
        assert_eq!(desk.begun_at(&second, OrderNumber(2)), Some(7));
        assert_eq!(desk.begun_at(&first, OrderNumber(2)), None);
    }

    #[test]
    fn partitions_have_the_numbers_of_the_run() {
        let (desk, _news) = GroupDesk::new();
        let known = ("t".to_owned(), 1);
        desk.number(&known, PartitionId(7));
        let unknown = ("t".to_owned(), 2);
        assert_eq!(desk.numbers([&unknown, &known].into_iter()), [PartitionId(7)]);
    }
}
