import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.AbstractBehavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.Receive;

/** An actor is a number: a message adds to it, a reply tells the total. */
final class Adder extends AbstractBehavior<Adder.Message> {
    sealed interface Message {}

    record Ask(long by, ActorRef<Long> replyTo) implements Message {}

    record Tell(long by) implements Message {}

    private long total;

    private Adder(ActorContext<Message> context) {
        super(context);
    }

    static Behavior<Message> create() {
        return Behaviors.setup(Adder::new);
    }

    @Override
    public Receive<Message> createReceive() {
        return newReceiveBuilder().onMessage(Ask.class, this::ask).onMessage(Tell.class, this::tell).build();
    }

    private Behavior<Message> ask(Ask ask) {
        total += ask.by;
        ask.replyTo.tell(total);
        return this;
    }

    private Behavior<Message> tell(Tell tell) {
        total += tell.by;
        return this;
    }
}
