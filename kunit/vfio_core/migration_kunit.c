// SPDX-License-Identifier: GPL-2.0
/* vfio_mig_get_next_state(): ways between the states of migration. */
#include "fixture.h"

#define STATES	  (VFIO_DEVICE_STATE_RUNNING_P2P + 1)
#define ERROR	  VFIO_DEVICE_STATE_ERROR
#define STOP	  VFIO_DEVICE_STATE_STOP
#define RUNNING	  VFIO_DEVICE_STATE_RUNNING
#define STOP_COPY VFIO_DEVICE_STATE_STOP_COPY
#define RESUMING  VFIO_DEVICE_STATE_RESUMING
#define P2P	  VFIO_DEVICE_STATE_RUNNING_P2P

/* The steps that a driver has, as <linux/vfio.h> of userspace describes them. */
static bool is_step(u32 from, u32 to, bool p2p)
{
	switch (from) {
	case RUNNING:
		return to == (p2p ? P2P : STOP);
	case P2P:
		return p2p && (to == RUNNING || to == STOP);
	case STOP:
		return to == STOP_COPY || to == RESUMING ||
		       to == (p2p ? P2P : RUNNING);
	case STOP_COPY:
	case RESUMING:
		return to == STOP;
	default:
		return false;
	}
}

/* The least number of steps, 0 if there is no way. */
static unsigned int distance(u32 from, u32 to, bool p2p)
{
	unsigned int reached[STATES] = {}, steps, i, j;

	for (i = 0; i < STATES; i++)
		reached[i] = is_step(from, i, p2p) ? 1 : 0;
	for (steps = 2; steps < STATES; steps++)
		for (i = 0; i < STATES; i++)
			for (j = 0; j < STATES; j++)
				if (reached[i] == steps - 1 && !reached[j] &&
				    is_step(i, j, p2p))
					reached[j] = steps;
	return reached[to];
}

static void every_way_is_the_shortest(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int p2p;

	for (p2p = 0; p2p < 2; p2p++) {
		struct sample_counts *s = sample_parent(f);
		u32 from, to;

		s->migration_flags = VFIO_MIGRATION_STOP_COPY |
				     (p2p ? VFIO_MIGRATION_P2P : 0);
		sample_register(f, s);
		for (from = 0; from < STATES; from++) {
			for (to = 0; to < STATES; to++) {
				unsigned int wanted = distance(from, to, p2p),
					     steps = 0;
				enum vfio_device_mig_state at = from, next;

				if (from == to)
					continue;
				/* No driver asks from where its device cannot be or leave. */
				if (from == ERROR || (!p2p && from == P2P))
					continue;
				while (at != to && steps <= STATES) {
					if (vfio_mig_get_next_state(
						    &s->sample->vdev, at, to,
						    &next))
						break;
					KUNIT_EXPECT_TRUE_MSG(
						test, is_step(at, next, p2p),
						"from %u to %u by %u", at, to,
						next);
					at = next;
					steps++;
				}
				if (wanted)
					KUNIT_EXPECT_EQ_MSG(test, steps, wanted,
							    "from %u to %u",
							    from, to);
				else
					KUNIT_EXPECT_EQ_MSG(test, steps, 0u,
							    "from %u to %u",
							    from, to);
			}
		}
	}
}

static void states_that_there_are_not(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	enum vfio_device_mig_state next;

	KUNIT_EXPECT_EQ(test,
			vfio_mig_get_next_state(&s->sample->vdev, RUNNING,
						STATES, &next),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			vfio_mig_get_next_state(&s->sample->vdev, RUNNING,
						0xffff, &next),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			vfio_mig_get_next_state(&s->sample->vdev, RUNNING, P2P,
						&next),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			vfio_mig_get_next_state(&s->sample->vdev, STOP, ERROR,
						&next),
			-EINVAL);
}

static struct kunit_case migration_cases[] = {
	KUNIT_CASE(every_way_is_the_shortest),
	KUNIT_CASE(states_that_there_are_not),
	{}
};

struct kunit_suite migration_suite = {
	.name = "vfio_core_migration",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = migration_cases,
};
