//! What becomes of messages between processes and the broker.

use super::{What, World};
use crate::broker::Request;

impl World {
    pub(super) fn send(
        &mut self,
        slot: usize,
        life: u64,
        call: u64,
        request: &Request,
        pause_ms: i64,
    ) {
        let sent_ms = self.now_ms + pause_ms;
        let delay_ms = self.delay();
        let arrive = |is_copy| What::Arrive { slot, life, call, request: request.clone(), is_copy };
        let (lost, copied) = (self.chance.per_mille(self.loss), self.chance.per_mille(10));
        if !lost {
            self.at(sent_ms + delay_ms, arrive(false));
        }
        if copied {
            self.at(sent_ms + delay_ms, arrive(true));
        }
        self.at(sent_ms + 2_000, What::Reply { slot, life, call, reply: None });
    }

    pub(super) fn delay(&mut self) -> i64 {
        let slow = if self.loss > 2 { 10 } else { 1 };
        if self.chance.percent(slow) {
            self.chance.range(100, 3_000)
        } else {
            self.chance.range(1, 8)
        }
    }

    /// What arrives while the broker is down is lost. What arrives may be of a process that is dead.
    pub(super) fn arrive(
        &mut self,
        slot: usize,
        life: u64,
        call: u64,
        request: &Request,
        is_copy: bool,
    ) {
        if self.broker.is_down(self.now_ms) {
            return;
        }
        let reply = self.broker.handle(request, self.now_ms, &mut self.chance);
        if !is_copy && !self.chance.per_mille(self.loss) {
            let delay_ms = self.delay();
            self.at(self.now_ms + delay_ms, What::Reply { slot, life, call, reply: Some(reply) });
        }
    }
}
