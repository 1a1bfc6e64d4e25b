import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.AbstractBehavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.Receive;

/** A part of a tree: it asks its children for their sums, answers when it has all of them, and ends. */
final class Tree extends AbstractBehavior<Tree.Message> {
    sealed interface Message {}

    record Sum(ActorRef<Message> replyTo) implements Message {}

    record Part(long total) implements Message {}

    private final long first;
    private final long leaves;
    private ActorRef<Message> asker;
    private int waiting;
    private long total;

    private Tree(ActorContext<Message> context, long first, long leaves) {
        super(context);
        this.first = first;
        this.leaves = leaves;
    }

    static Behavior<Message> create(long first, long leaves) {
        return Behaviors.setup(context -> new Tree(context, first, leaves));
    }

    @Override
    public Receive<Message> createReceive() {
        return newReceiveBuilder().onMessage(Sum.class, this::sum).onMessage(Part.class, this::add).build();
    }

    private Behavior<Message> sum(Sum sum) {
        if (leaves == 1) {
            sum.replyTo.tell(new Part(first));
            return Behaviors.stopped();
        }
        asker = sum.replyTo;
        long below = leaves / 10;
        for (waiting = 0; waiting < 10; waiting++) {
            var child = getContext().spawnAnonymous(create(first + waiting * below, below));
            child.tell(new Sum(getContext().getSelf()));
        }
        return this;
    }

    private Behavior<Message> add(Part part) {
        total += part.total;
        waiting--;
        if (waiting > 0) {
            return this;
        }
        asker.tell(new Part(total));
        return Behaviors.stopped();
    }
}
