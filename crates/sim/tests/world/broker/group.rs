//! The group's coordinator: members, generations, who owns what, and committed offsets.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_processor::commit::kafka::CommitMetadata;

/// What a member says about itself in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// −1: none.
    pub generation: i64,
    pub member: u64,
    pub instance: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupError {
    IllegalGeneration,
    UnknownMember,
    FencedInstance,
}

/// What the group wants of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub generation: i64,
    pub owns: BTreeSet<u32>,
    /// Part of `owns`: to be given back.
    pub gives_back: BTreeSet<u32>,
}

/// Offset and metadata of a partition.
pub type Offset = (i64, CommitMetadata);

#[derive(Debug)]
struct Member {
    id: u64,
    heard_ms: i64,
}

#[derive(Debug)]
pub struct Group {
    partitions: u32,
    session_timeout_ms: i64,
    generation: i64,
    next_member: u64,
    members: BTreeMap<String, Member>,
    owner: BTreeMap<u32, String>,
    target: BTreeMap<u32, String>,
    pub committed: BTreeMap<u32, Offset>,
    pending: BTreeMap<u64, Vec<(u32, Offset)>>,
}

impl Group {
    pub fn new(partitions: u32, session_timeout_ms: i64) -> Self {
        Self {
            partitions,
            session_timeout_ms,
            generation: 0,
            next_member: 0,
            members: BTreeMap::new(),
            owner: BTreeMap::new(),
            target: BTreeMap::new(),
            committed: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Whether a member with another instance id is there.
    pub fn has_other(&self, instance: &str) -> bool {
        self.members.keys().any(|other| other != instance)
    }

    /// Joins, and replaces the member of the same instance id if there is one.
    pub fn join(&mut self, instance: &str, now_ms: i64) -> u64 {
        self.next_member += 1;
        let member = Member { id: self.next_member, heard_ms: now_ms };
        let replaced = self.members.insert(instance.to_owned(), member);
        if replaced.is_none() {
            self.rebalance();
        }
        self.next_member
    }

    /// A heartbeat, answered by what the group wants.
    pub fn poll(&mut self, instance: &str, member: u64, now_ms: i64) -> Result<Wish, GroupError> {
        let found = self.members.get_mut(instance).ok_or(GroupError::UnknownMember)?;
        if found.id != member {
            return Err(GroupError::FencedInstance);
        }
        found.heard_ms = now_ms;
        let is_mine = |owner: Option<&String>| owner.is_some_and(|owner| owner == instance);
        let all = 0..self.partitions;
        let owns: BTreeSet<u32> = all.filter(|p| is_mine(self.owner.get(p))).collect();
        let gives_back = owns.iter().copied().filter(|p| !is_mine(self.target.get(p))).collect();
        Ok(Wish { generation: self.generation, owns, gives_back })
    }

    pub fn release(&mut self, instance: &str, member: u64, partitions: &BTreeSet<u32>) {
        if self.members.get(instance).is_some_and(|found| found.id == member) {
            self.owner.retain(|p, owner| owner != instance || !partitions.contains(p));
            self.rebalance();
        }
    }

    /// Removes members that were not heard of for the session timeout.
    pub fn tick(&mut self, now_ms: i64) {
        let timeout_ms = self.session_timeout_ms;
        let is_silent = |member: &Member| now_ms - member.heard_ms > timeout_ms;
        let silent = self.members.iter().find(|(_, member)| is_silent(member));
        if let Some(instance) = silent.map(|(instance, _)| instance.clone()) {
            self.remove(&instance);
        }
    }

    /// After a restart of the coordinator all sessions begin anew.
    pub fn restarted(&mut self, now_ms: i64) {
        for member in self.members.values_mut() {
            member.heard_ms = now_ms;
        }
    }

    fn remove(&mut self, instance: &str) {
        self.members.remove(instance);
        self.owner.retain(|_, owner| owner != instance);
        self.rebalance();
    }

    /// Sticky and cooperative: what moves is first given back by its owner.
    fn rebalance(&mut self) {
        self.generation += 1;
        self.target.clear();
        if self.members.is_empty() {
            return;
        }
        let quota = (self.partitions as usize).div_ceil(self.members.len());
        let mut load: BTreeMap<&String, usize> = self.members.keys().map(|m| (m, 0)).collect();
        for partition in 0..self.partitions {
            let owner =
                self.owner.get(&partition).filter(|o| load.get(o).is_some_and(|n| *n < quota));
            let least = load.iter().min_by_key(|(_, count)| **count).map(|(member, _)| *member);
            let Some(target) = owner.or(least).cloned() else { continue };
            if let Some((_, count)) = load.iter_mut().find(|(member, _)| ***member == target) {
                *count += 1;
            }
            self.owner.entry(partition).or_insert_with(|| target.clone());
            self.target.insert(partition, target);
        }
    }

    /// Whether a commit is accepted. With neither generation nor member nor instance nothing is checked.
    pub fn check(&self, by: &GroupMetadata) -> Result<(), GroupError> {
        if by.generation < 0 && by.member == 0 && by.instance.is_empty() {
            return Ok(());
        }
        let member = self.members.get(&by.instance).ok_or(GroupError::UnknownMember)?;
        if member.id != by.member {
            return Err(GroupError::FencedInstance);
        }
        if self.generation == by.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// Offsets of a transaction wait for its marker.
    pub fn add_pending(&mut self, producer: u64, offsets: Vec<(u32, Offset)>) {
        self.pending.entry(producer).or_default().extend(offsets);
    }

    pub fn decide(&mut self, producer: u64, commit: bool) {
        let offsets = self.pending.remove(&producer).unwrap_or_default();
        if commit {
            self.committed.extend(offsets);
        }
    }

    /// Whether a transaction that changes the offset is not decided.
    pub fn is_unstable(&self, partition: u32) -> bool {
        self.pending.values().flatten().any(|(pending, _)| *pending == partition)
    }
}
